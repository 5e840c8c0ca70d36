"""Damaged files in turn, each read in a child process that may crash or hang."""

import collections
import multiprocessing as mp
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.formatting import markdown
from benchmarks.fuzz.mutations import mutate, mutate_table
from benchmarks.fuzz.samples import SAMPLES
from benchmarks.fuzz.targets import (
    ACCEPTED,
    CRASHED,
    FAILURES,
    HUNG,
    REFUSED,
    Ending,
    examine,
    kind_of,
    prepare,
)
from benchmarks.scoring.children import kill

__all__ = ["FuzzReport", "fuzz"]

UNDAMAGED = "bombs"
"""Kind of file that is read as it is, each once: what is large about it would not survive."""
TIMEOUT = 60.0
"""Seconds after which a file counts as hung."""


@dataclass
class FuzzReport:
    """What came of the files of one kind.

    Attributes:
        kind: ``bombs``, ``images``, ``checkpoints`` or ``labels``.
        seed: Of the damage.
        outcomes: Outcome -> files.
        reasons: Kind of refusal -> files.
        failures: Name and ending of every file that ended as none should.
        slowest: Name and ending of the file that took longest.
        largest: Name and ending of the file that took most memory.
    """

    kind: str
    seed: int
    outcomes: collections.Counter[str] = field(default_factory=collections.Counter)
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[tuple[str, Ending]] = field(default_factory=list)
    slowest: tuple[str, Ending] = ("", Ending(""))
    largest: tuple[str, Ending] = ("", Ending(""))

    def add(self, name: str, ending: Ending) -> None:
        """Count a file.

        Args:
            name: Its number and suffix.
            ending: How it ended.
        """
        self.outcomes[ending.outcome] += 1
        if ending.outcome == REFUSED:
            self.reasons[kind_of(ending.reason)] += 1
        if ending.outcome in FAILURES:
            self.failures.append((name, ending))
        if ending.seconds > self.slowest[1].seconds:
            self.slowest = (name, ending)
        if ending.megabytes > self.largest[1].megabytes:
            self.largest = (name, ending)

    def text(self) -> str:
        """Counts by outcome, the most frequent refusals, slowest and largest file, failures."""
        shown = (ACCEPTED, REFUSED, *FAILURES)
        counts = [[name, str(self.outcomes[name])] for name in shown]
        whole = self.kind == UNDAMAGED
        title = f"{self.kind}, as they are" if whole else f"damaged {self.kind}, seed {self.seed}"
        lines = [
            f"{self.outcomes.total()} {title}\n",
            markdown(["outcome", "files"], counts),
            f"slowest: {self.slowest[1].seconds:.2f} s ({self.slowest[0]}); most memory above the "
            f"start: {self.largest[1].megabytes:.0f} MB ({self.largest[0]})",
        ]
        if self.reasons:
            rows = [[reason, str(count)] for reason, count in self.reasons.most_common(8)]
            lines.append("\n" + markdown(["refused because", "files"], rows))
        lines += [f"{name}: {end.outcome}: {end.reason}" for name, end in self.failures[:20]]
        return "\n".join(lines)


def fuzz(
    kind: str,
    files: int,
    seed: int,
    *,
    keep: Path | None = None,
    timeout: float = TIMEOUT,
    progress: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> FuzzReport:
    """Damage files, and read each in a child process.

    File ``i`` depends on kind, seed and ``i`` alone.

    Args:
        kind: ``bombs`` (undamaged), ``images``, ``checkpoints`` or ``labels``.
        files: How many; of bombs at most as many as there are.
        seed: Of the damage.
        keep: Folder for the files that ended as none should.
        timeout: Seconds after which a file counts as hung.
        progress: Called with the files done.
        stop: Asked before each file whether to leave the rest out.

    Returns:
        Counts, and what stands out.
    """
    report = FuzzReport(kind, seed)
    damage = {"labels": mutate_table, UNDAMAGED: _as_it_is}.get(kind, mutate)
    with tempfile.TemporaryDirectory() as scratch, _Reader(timeout) as reader:
        folder = Path(scratch)
        samples = [(path.name, path.read_bytes()) for path in SAMPLES[kind](folder)]
        for number in range(min(files, len(samples)) if kind == UNDAMAGED else files):
            if stop():
                break
            rng = random.Random(f"{kind}:{seed}:{number}")
            if kind == UNDAMAGED:
                name, content = samples[number]
            else:
                original, content = rng.choice(samples)
                name = f"damaged-{number}{Path(original).suffix}"
            path = folder / name
            path.write_bytes(damage(content, rng))
            ending = reader.read(kind, path)
            report.add(path.name, ending)
            if keep is not None and ending.outcome in FAILURES:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, keep / path.name)
            path.unlink()
            progress(number + 1)
    return report


def _as_it_is(content: bytes, _rng: random.Random) -> bytes:
    return content


class _Reader:
    """A child process that reads files, and its successor where one crashes or hangs."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Reader":
        self.others = set(mp.active_children())
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, kind: str, path: Path) -> Ending:
        """How a file ends, in the child; see `examine`.

        Args:
            kind: A key of `TARGETS`.
            path: The file.

        Returns:
            Its ending; `CRASHED` or `HUNG` where the child gave none.
        """
        if self.pool is None:
            context = mp.get_context("spawn")
            self.pool = ProcessPoolExecutor(
                1, context, initializer=prepare, initargs=(os.getpid(),)
            )
            self.pool.submit(abs, 0).result()  # the time limit is for the file, not for starting
        try:
            return self.pool.submit(examine, kind, path).result(self.timeout)
        except BrokenProcessPool:
            self._end()
            return Ending(CRASHED, "the process died")
        except TimeoutError:
            self._end()
            return Ending(HUNG, f"no end in {self.timeout:g} s", seconds=self.timeout)

    def _end(self) -> None:
        kill(set(mp.active_children()) - self.others)
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)
            self.pool = None
