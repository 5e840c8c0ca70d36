"""Data sets of Ray -> data sets of scores; what has a row already; parts written by the nodes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from qualiclip_metric.distributed.cluster import (
    TASK_CPUS,
    alive_nodes,
    has_gpu,
    import_ray,
    pool_size,
    result_of,
)
from qualiclip_metric.distributed.worker import (
    KEY,
    Described,
    MetricSettings,
    Worker,
    describe,
)
from qualiclip_metric.streaming.rows import Layout

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from qualiclip_metric.scoring import Options

PART_ROWS_PER_WORKER = 512
"""Rows in a part for each worker, up to `streaming.parts.PART_ROWS`: about half a minute's work."""


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
    options: "Options | None" = None,
) -> "Dataset":
    """Score the images of a data set on the cluster that this process has joined.

    Args:
        dataset: With a column `path` (paths that every node sees, or URLs), or `image` (the files'
            bytes) and `key`. Other columns pass through. A block is what a worker takes at once:
            some hundred images are a good size.
        model: Registered name, or a checkpoint's path that every node sees.
        device: `cpu`, `cuda`, or `auto`: GPUs where the cluster has any.
        precision: As for `create`; what `auto` comes to is decided once, on one node.
        engine: As for `create`; `auto` likewise.
        prompts: Antonym pairs in place of the model's own.
        size: As for `create`.
        cpus_per_worker: Cores, and threads, of a worker that computes on the CPU.
        workers: How many there are; unless told as many as fit now, with room for reading and
            writing. To be told where a cluster grows by itself.
        options: How images are decoded and batched, as for `scoring.score_items`.

    Returns:
        A row an image, an image that fails among them: `key`, `score`, `error`, `width`, `height`
        and the columns of `dataset`. Nothing is computed before it is asked for. A CPU's scores
        are those of one machine with as many threads, to the last bit.

    Raises:
        ImportError: Where ray is not installed, with the cure.
        ValueError: When an argument is off, or no worker fits the cluster.

    Example:
        import ray
        from qualiclip_metric import distributed
        photos = ray.data.read_parquet("s3://bucket/photos/", columns=["key", "image"])
        distributed.score(photos, "lite").write_parquet("s3://bucket/scores/")
    """
    pool = plan(
        model,
        device=device,
        precision=precision,
        engine=engine,
        prompts=prompts,
        size=size,
        cpus_per_worker=cpus_per_worker,
        workers=workers,
    )
    return pool.score(dataset, options)


@dataclass(frozen=True)
class Pool:
    """Workers of a metric that is known to the last digit, not started yet.

    Args:
        settings: What each of them creates.
        described: What it then is.
        workers: How many.
        cpus: Cores of each; 0 where each has a GPU.
    """

    settings: MetricSettings
    described: Described
    workers: int
    cpus: int

    def score(self, dataset: "Dataset", options: "Options | None" = None) -> "Dataset":
        """As the function `score`."""
        from qualiclip_metric.scoring import Options

        data = import_ray().data
        options = options or Options()
        if self.cpus and options.workers is None:
            options = replace(options, workers=self.cpus)
        return dataset.map_batches(
            Worker,
            fn_constructor_args=(self.settings, self.described, self.cpus, options),
            batch_size=None,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=self.workers),
            **({"num_cpus": self.cpus} if self.cpus else {"num_gpus": 1}),
        )


def plan(
    model: str = "lite",
    *,
    device: str = "auto",
    precision: str = "fp32",
    engine: str = "torch",
    prompts: Sequence[tuple[str, str]] | None = None,
    size: int | str | None = None,
    cpus_per_worker: int = 1,
    workers: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Pool:
    """How many workers there will be, and what they score; a task on the cluster finds out.

    Args:
        model: As for `score`, like what follows.
        device: `cpu`, `cuda` or `auto`.
        precision: `auto` is decided on the node where the task runs.
        engine: The same.
        prompts: Antonym pairs.
        size: Shorter side, px.
        cpus_per_worker: Cores of a worker.
        workers: How many.
        say: Takes a message while nothing can be scheduled; a warning in the log unless told.

    Raises:
        ValueError: As for `score`.
    """
    if cpus_per_worker < 1 or (workers is not None and workers < 1):
        raise ValueError(
            f"expected cpus_per_worker and workers of at least 1, got {cpus_per_worker}, {workers}"
        )
    ray = import_ray()
    nodes = alive_nodes(ray)
    gpu = has_gpu(nodes) if device == "auto" else device.startswith("cuda")
    count = workers or pool_size(nodes, cpus_per_worker, gpu)
    pairs = None if prompts is None else tuple((good, bad) for good, bad in prompts)
    settings = MetricSettings(model, "cuda" if gpu else "cpu", precision, engine, pairs, size)
    needs = {"num_gpus": 1} if gpu else {"num_cpus": cpus_per_worker}
    task = ray.remote(describe).options(**needs).remote(settings)
    try:
        described = result_of(ray, task, "starting a worker", say)
    except ray.exceptions.RayTaskError as err:
        raise ValueError(f"a worker could not make the metric: {err.cause}") from err
    settings = replace(settings, precision=described.precision, engine=described.engine)
    return Pool(settings, described, count, 0 if gpu else cpus_per_worker)


def part_rows(workers: int) -> int:
    """Rows in a part, of which a kill costs one for each that is being filled."""
    from qualiclip_metric.streaming.parts import PART_ROWS

    return min(PART_ROWS, PART_ROWS_PER_WORKER * workers)


def remaining(dataset: "Dataset", folder: str, key: str = KEY) -> "Dataset":
    """What has no row yet in a folder of parts.

    The digests of the keys that have one are read here, 16 bytes each, and lie once in the memory
    of each node.

    Args:
        dataset: With a column of keys, each of which stands for one image.
        folder: Of `write`: path or URL that every node sees.
        key: The column.
    """
    from qualiclip_metric.streaming import parts

    done = parts.done_keys(folder)
    if not done.total:
        return dataset
    held = import_ray().put(done)
    return dataset.map_batches(
        _without,
        fn_kwargs={"done": [held], "key": key},
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=TASK_CPUS,
    )


def _without(table: "pa.Table", done: list[Any], key: str) -> "pa.Table":
    """Rows whose keys are not among those that are done."""
    import pyarrow as pa

    known = import_ray().get(done[0])
    return table.filter(pa.array([one not in known for one in table[key].to_pylist()], pa.bool_()))


def write(
    rows: "Dataset", folder: str, layout: Layout, most_rows: int
) -> Iterator[tuple[int, int]]:
    """Let the nodes write rows as Parquet parts, each whole or not there.

    A part is named by its keys, so that one whose task is repeated replaces itself.

    Args:
        rows: Of `score`.
        folder: Path or URL that every node sees.
        layout: What the rows hold.
        most_rows: In a part.

    Yields:
        Rows and failures among them, of each part when it is there.
    """
    written = rows.map_batches(
        _write,
        fn_kwargs={"folder": folder, "layout": layout},
        batch_size=most_rows,
        batch_format="pyarrow",
        num_cpus=TASK_CPUS,
    )
    for row in written.iter_rows():
        yield int(row["rows"]), int(row["failed"])


def _write(table: "pa.Table", folder: str, layout: Layout) -> "pa.Table":
    import pyarrow as pa

    from qualiclip_metric.streaming import parts

    if len(table):
        keys = "\0".join(table["key"].to_pylist())
        name = f"part-{blake2b(keys.encode(), digest_size=16).hexdigest()}.parquet"
        form = parts.schema(layout)
        parts.write_part(folder, table.select(form.names).cast(form), name)
    return pa.table({"rows": [len(table)], "failed": [table["score"].null_count]})
