"""How long `qualiclip --help` and the scores of one and of many photos take, from the start."""

import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.formatting import markdown
from benchmarks.speed.path import run
from benchmarks.speed.photos import linked, photos

MADE = 200
"""Photos made at run time; more are links to the same files, each decoded anew."""


@dataclass(frozen=True)
class Wait:
    """What one command took.

    Args:
        command: What was run, in short.
        seconds: From its start to its end.
        cpu_seconds: Of all its threads and processes.
    """

    command: str
    seconds: float
    cpu_seconds: float


def measure(
    counts: Sequence[int], folders: Sequence[Path] = (), options: Sequence[str] = ()
) -> list[Wait]:
    """Run `qualiclip --help`, then `qualiclip score` on folders of photos, one after the other.

    Args:
        counts: How many photos, for each run.
        folders: Where photos lie; they are made for the occasion when there is none.
        options: More options for `qualiclip score`, such as `--precision fp32`.

    Returns:
        Figures of each command.

    Raises:
        ValueError: When a command fails.
    """
    waits = [_run("qualiclip --help", ["--help"])]
    with photos(folders, MADE) as files:
        for count in counts:
            with linked(list(itertools.islice(itertools.cycle(files), count))) as folder:
                words = ["score", str(folder), "--format", "csv", *options]
                waits.append(_run(f"{count:,} photo{'s' * (count > 1)}", words))
    return waits


def _run(name: str, words: Sequence[str]) -> Wait:
    import resource  # POSIX only, and this module is imported with all speed commands

    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run([sys.executable, "-m", "qualiclip_metric", *words])
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Wait(name, seconds, cpu_seconds)


def text(waits: Sequence[Wait]) -> str:
    """A Markdown table, a row for each command.

    Args:
        waits: Of `measure`.
    """
    rows = [[w.command, f"{w.seconds:.1f}", f"{w.cpu_seconds:.1f}"] for w in waits]
    return markdown(["", "seconds", "CPU seconds"], rows)
