"""Score batches on a Ray cluster: actors that each build the metric, as processes do here."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.metrics.build import build_scorer
from benchmarks.metrics.scorer import MetricError
from benchmarks.results.store import Row
from benchmarks.scoring.batches import Batch, score_batches
from benchmarks.scoring.processes import Settings
from qualiclip_metric.distributed import cluster

__all__ = ["score_on_ray"]


def score_on_ray(settings: Settings, batches: Sequence[Batch]) -> Iterator[list[Row]]:
    """Score batches on the cluster at ``settings.ray``; Ray repeats those whose worker dies.

    Every node has to see the images' paths. Rows come in the order in which batches finish.
    """
    ray = cluster.import_ray()
    if not ray.is_initialized():
        ray = cluster.connect(str(settings.ray))
    gpu, threads = (settings.device or "").startswith("cuda"), settings.threads or 1
    try:
        workers = cluster.pool_size(cluster.alive_nodes(ray), threads, gpu)
        scored = ray.data.range(len(batches), override_num_blocks=len(batches)).map_batches(
            _Worker,
            fn_constructor_args=(settings, threads, ray.put([_seen(batch) for batch in batches])),
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=min(workers, len(batches))),
            **({"num_gpus": 1} if gpu else {"num_cpus": threads}),
        )
        for row in scored.iter_rows():
            yield [Row(**values) for values in json.loads(row["rows"])]
    except (ValueError, ray.exceptions.RayError) as err:
        reason = (str(err).strip().splitlines() or [type(err).__name__])[-1]
        raise MetricError(f"{settings.metric} on Ray: {reason}; what is scored is kept") from err


def _seen(batch: Batch) -> Batch:
    """The batch with paths as they are from any folder."""
    return tuple(replace(item, path=str(Path(item.path).absolute())) for item in batch)


class _Worker:
    """Builds the metric on a node, and scores the batches whose numbers it gets."""

    def __init__(self, settings: Settings, threads: int, batches: Any) -> None:
        import torch

        torch.set_num_threads(threads)
        self.settings = settings
        self.batches: Sequence[Batch] = cluster.import_ray().get(batches)
        self.scorer = build_scorer(
            settings.metric, device=settings.device, precision=settings.precision
        )

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        chosen = [self.batches[number] for number in table["id"].to_pylist()]
        found = score_batches(
            self.scorer,
            chosen,
            short_side=self.settings.short_side,
            workers=self.settings.workers,
        )
        return pa.table({"rows": [json.dumps([asdict(row) for row in rows]) for rows in found]})
