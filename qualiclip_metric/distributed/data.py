"""Data sets of Ray -> data sets of scores; parts written by the nodes."""

import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from qualiclip_metric.distributed.cluster import (
    TASK_CPUS,
    alive_nodes,
    import_ray,
    pool_size,
    waiting_text,
)
from qualiclip_metric.distributed.inputs import KEY, items_of, passed_columns
from qualiclip_metric.scoring import parquet
from qualiclip_metric.scoring.columns import Layout, layout_for, pair_columns
from qualiclip_metric.scoring.options import MetricOptions, ScoreOptions

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from qualiclip_metric.signature import Signature

PART_ROWS_PER_WORKER = 512
"""Rows in a part for each worker, up to `parquet.PART_ROWS`: about half a minute's work."""
ASK_SECONDS = 30.0
"""Time between two messages while no worker can be started."""

_log = logging.getLogger(__name__)


def score(
    dataset: "Dataset",
    model: str = "lite",
    *,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "torch",
    prompts: Sequence[tuple[str, str]] | None = None,
    size: int | str | None = None,
    cpus_per_worker: int = 1,
    workers: int | None = None,
    options: ScoreOptions | None = None,
) -> "Dataset":
    """Score the images of a data set on the cluster that this process has joined.

    Args:
        dataset: With a column `path` (paths that every node sees, or URLs), or `image` (the files'
            bytes) and `key`. Other columns are copied. A worker takes a block at once: some hundred
            images are a good size.
        model: Registered name, or a checkpoint's path that every node sees.
        device: `cpu`, `cuda`, or `auto`: GPUs if the cluster has any.
        precision: As for `create`; one node decides what `auto` is.
        engine: The same.
        prompts: Antonym pairs in place of the model's own.
        size: As for `create`.
        cpus_per_worker: Cores, and threads, of a worker that computes on the CPU.
        workers: How many; by default as many as fit now, with room for reading and writing. Name a
            number if the cluster grows by itself.
        options: How images are decoded and batched.

    Returns:
        A row per image, also for images that fail: `key`, `score`, `error`, `width`, `height` and
        the columns of `dataset`. Ray computes it when it is used. A CPU's scores are bit-equal to
        those of one machine with as many threads.

    Raises:
        ImportError: If ray is not installed.
        ValueError: If an argument is wrong, or no worker fits the cluster.

    Example:
        import ray
        from qualiclip_metric import distributed
        photos = ray.data.read_parquet("s3://bucket/photos/", columns=["key", "image"])
        distributed.score(photos, "lite").write_parquet("s3://bucket/scores/")
    """
    pairs = None if prompts is None else tuple((good, bad) for good, bad in prompts)
    metric = MetricOptions(model, precision, engine, pairs, size)
    return plan(metric, device, cpus_per_worker, workers).score(dataset, options)


def _signature_and_pairs(
    metric: MetricOptions, device: str
) -> "tuple[Signature | None, tuple[str, ...]]":
    """Make the metric on a node; its signature, and the columns of its pairs. A task."""
    made = metric.create(device)
    return made.signature, pair_columns(made.pairs, len(made.prompts))


def plan(
    metric: MetricOptions | None = None,
    device: str = "auto",
    cpus_per_worker: int = 1,
    workers: int | None = None,
    say: Callable[[str], None] = _log.warning,
) -> "Pool":
    """Plan the workers, and make the metric once on a node, for its signature.

    The arguments are those of `score`; `say` takes a message while nothing can be scheduled.
    """
    if cpus_per_worker < 1 or (workers is not None and workers < 1):
        raise ValueError(
            f"expected cpus_per_worker and workers of at least 1, got {cpus_per_worker}, {workers}"
        )
    ray, metric = import_ray(), metric or MetricOptions()
    nodes = alive_nodes(ray)
    with_gpus = any(node.get("GPU", 0) >= 1 for node in nodes)
    gpu = with_gpus if device == "auto" else device.startswith("cuda")
    count = workers or pool_size(nodes, cpus_per_worker, gpu)
    needs = {"num_gpus": 1} if gpu else {"num_cpus": cpus_per_worker}
    make = ray.remote(_signature_and_pairs).options(**needs)
    task = make.remote(metric, "cuda" if gpu else "cpu")
    while not ray.wait([task], timeout=ASK_SECONDS)[0]:
        say(waiting_text(ray, "starting a worker"))
    try:
        signature, pairs = ray.get(task)
    except ray.exceptions.RayTaskError as err:
        raise ValueError(f"a worker could not make the metric: {err.cause}") from err
    metric = metric.with_auto_resolved(signature)
    return Pool(metric, str(signature), pairs, count, 0 if gpu else cpus_per_worker)


@dataclass(frozen=True)
class Pool:
    """Workers that are not started yet, each with the same metric."""

    metric: MetricOptions
    signature: str
    pairs: tuple[str, ...]  # columns of the antonym pairs' probabilities
    workers: int
    cpus: int  # of each; 0 if each has a GPU

    @property
    def part_rows(self) -> int:
        """Rows in a part; a kill loses the part that is being filled."""
        return min(parquet.PART_ROWS, PART_ROWS_PER_WORKER * self.workers)

    def layout(self, options: ScoreOptions, passed: dict[str, Any]) -> Layout:
        """Columns of the rows; `passed` are those of the data set, with their types."""
        return layout_for(self.signature, options, self.pairs, passed)

    def score(self, dataset: "Dataset", options: ScoreOptions | None = None) -> "Dataset":
        """Score, as the function `score` does."""
        data, options = import_ray().data, options or ScoreOptions()
        if self.cpus and options.workers is None:
            options = replace(options, workers=self.cpus)
        return dataset.map_batches(
            _Worker,
            fn_constructor_args=(self, options),
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=self.workers),
            **({"num_cpus": self.cpus} if self.cpus else {"num_gpus": 1}),
        )


class _Worker:
    """Holds a metric and scores blocks; an actor."""

    def __init__(self, pool: Pool, options: ScoreOptions) -> None:
        import torch

        if pool.cpus:
            torch.set_num_threads(pool.cpus)
        self.pool, self.options = pool, options
        self.metric = pool.metric.create("cpu" if pool.cpus else "cuda")
        if str(self.metric.signature) != pool.signature:
            raise RuntimeError(
                f"node {platform.node()} scores as {self.metric.signature}, expected "
                f"{pool.signature}: install the same version on every node, and give "
                "--precision and --engine by name"
            )

    def __call__(self, table: "pa.Table") -> "pa.Table":
        """Images, or paths -> scores, in their order."""
        from qualiclip_metric.scoring.pipeline import score_items

        rows = list(score_items(self.metric, items_of(table), self.options))
        return parquet.to_table(rows, self.pool.layout(self.options, passed_columns(table)))


def write(
    rows: "Dataset", folder: str, layout: Layout, part_rows: int
) -> Iterator[tuple[int, int, int]]:
    """Let the nodes write rows of `score` as Parquet parts to a path or URL that all of them see.

    A part is named by a digest of its keys, so that a task that Ray repeats replaces its part.
    Yields, for each part that is written, its rows and among them failures and those below the bar.
    """
    written = rows.map_batches(
        _write,
        fn_kwargs={"folder": folder.rstrip("/"), "schema": parquet.schema(layout)},
        batch_size=part_rows,
        batch_format="pyarrow",
        num_cpus=TASK_CPUS,
    )
    for row in written.iter_rows():
        yield int(row["rows"]), int(row["failed"]), int(row["below"])


def _write(table: "pa.Table", folder: str, schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    if len(table):
        keys = "\0".join(table[KEY].to_pylist())
        name = f"part-{blake2b(keys.encode(), digest_size=16).hexdigest()}.parquet"
        parquet.write_file(f"{folder}/{name}", table.select(schema.names).cast(schema))
    keep = table["keep"].to_pylist() if "keep" in table.column_names else []
    failed = table["score"].null_count
    return pa.table({"rows": [len(table)], "failed": [failed], "below": [keep.count(False)]})
