"""Scoring on Ray beside the plain command: the same photos, as many threads."""

import itertools
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

from benchmarks.speed.path import run
from qualiclip_metric.distributed import cluster, data, inputs
from qualiclip_metric.scoring import Options

STORE_BYTES = 256 * 2**20
"""Object store of a node."""
ROOM_CPUS = 1
"""CPUs of a node besides its workers'. Ray is told of them; this machine may have fewer."""
START_SECONDS = 900
"""How long all workers may take to be there; none begins before."""
SHARDS = 32
"""More than workers by far, so that all of them end together."""
WARM_UP = 4
"""Shards of a run before those that count, enough for every worker to have one."""


@dataclass(frozen=True)
class Timed:
    """Two runs that differ by the number of images alone.

    Args:
        few: Seconds of the shorter run.
        many: Seconds of the longer one.
        more: How many more images it scores.
    """

    few: float
    many: float
    more: int

    @property
    def rate(self) -> float:
        """Images per second without the start-up; NaN where other work was all that was seen."""
        return self.more / (self.many - self.few) if self.many > self.few else nan

    def __str__(self) -> str:
        return f"{self.rate:.2f} images/s ({self.few:.1f} s, {self.more} more {self.many:.1f} s)"


@dataclass(frozen=True)
class Comparison:
    """The plain command and Ray with as many threads.

    Args:
        workers: Ray's workers of a thread each, and threads of the command.
        plain: Of the command.
        ray: Of the workers.
    """

    workers: int
    plain: Timed
    ray: Timed

    def __str__(self) -> str:
        """A line with the ratio, and the time of a worker that an image costs more on Ray."""
        more = 1e3 * self.workers * (1 / self.ray.rate - 1 / self.plain.rate)
        return (
            f"  {self.workers} worker{'s' * (self.workers > 1)}: {self.ray}, plain command with as "
            f"many threads {self.plain}; ratio {self.ray.rate / self.plain.rate:.3f}, {more:+.1f} "
            "ms an image"
        )


def against_plain(
    photos: Sequence[Path], count: int, workers: Sequence[int] = (1, 2), rounds: int = 1
) -> list[Comparison]:
    """The plain command and Ray on the same tar shards, on some images and on twice as many.

    Args:
        photos: Packed again and again until there are enough.
        count: Images of the shorter run.
        workers: Numbers of workers.
        rounds: Turns; the shortest time of each run counts.
    """
    plain: dict[int, list[Timed]] = {number: [] for number in workers}
    ray: dict[int, list[Timed]] = {number: [] for number in workers}
    with packed(photos, 2 * count) as shards:
        for _ in range(rounds):
            for number in workers:
                plain[number].append(_timed(partial(_plain, number), shards, count))
            with local_cluster(max(workers) + ROOM_CPUS):
                for number in workers:
                    pool = data.plan(workers=number)
                    ray[number].append(_timed(partial(_on_ray, pool), shards, count))
    return [Comparison(n, shortest(plain[n]), shortest(ray[n])) for n in workers]


def shortest(rounds: Sequence[Timed]) -> Timed:
    """The shortest time of each run, which other work has lengthened least."""
    return Timed(min(r.few for r in rounds), min(r.many for r in rounds), rounds[0].more)


@contextmanager
def packed(photos: Sequence[Path], count: int) -> Iterator[list[Path]]:
    """`SHARDS` tar shards with as many photos each, as far as their number allows.

    Args:
        photos: Taken again and again.
        count: How many in all shards together.
    """
    rest = enumerate(itertools.islice(itertools.cycle(photos), count))
    with tempfile.TemporaryDirectory() as name:
        shards = [Path(name, f"{number:05}.tar") for number in range(SHARDS)]
        for number, shard in enumerate(shards):
            with tarfile.open(shard, "w") as tar:
                size = count * (number + 1) // SHARDS - count * number // SHARDS
                for place, path in itertools.islice(rest, size):
                    tar.add(path.resolve(), f"{place:06}{path.suffix}")
        yield shards


@contextmanager
def local_cluster(cpus: int) -> Iterator[None]:
    """Ray on this machine, for the block.

    Args:
        cpus: That Ray is told of.
    """
    ray = cluster.connect(cluster.LOCAL, **node(cpus))
    wait_for_all(ray)
    try:
        yield
    finally:
        ray.shutdown()


def node(cpus: int) -> dict[str, Any]:
    """What a node is started with."""
    return {"num_cpus": cpus, "object_store_memory": STORE_BYTES, "include_dashboard": False}


def wait_for_all(ray: Any) -> None:
    """Let no worker begin before all of them are there."""
    ray.data.DataContext.get_current().wait_for_min_actors_s = START_SECONDS


def _timed(act: Callable[[Sequence[Path]], None], shards: Sequence[Path], count: int) -> Timed:
    def seconds(some: Sequence[Path]) -> float:
        began = time.perf_counter()
        act(some)
        return time.perf_counter() - began

    seconds(shards[:WARM_UP])  # so that both find the same: files in memory, Ray's processes there
    return Timed(seconds(shards[: len(shards) // 2]), seconds(shards), count)


def _plain(threads: int, shards: Sequence[Path]) -> None:
    with tempfile.TemporaryDirectory() as out:
        words = ["score", *map(str, shards), "--precision", "fp32", "--engine", "torch"]
        words += ["--workers", str(threads), "--out", f"{out}/scores/"]
        run([sys.executable, "-m", "qualiclip_metric", *words], OMP_NUM_THREADS=str(threads))


def _on_ray(pool: data.Pool, shards: Sequence[Path]) -> None:
    rows = pool.score(inputs.read([str(shard) for shard in shards]))
    layout = pool.described.layout(Options(), {})
    with tempfile.TemporaryDirectory() as out:
        for _ in data.write(rows, out, layout, data.part_rows(pool.workers)):
            pass
