"""Time from a command's start to its end: `qualiclip --help`, and scores of so many photos."""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.formatting import markdown, number
from benchmarks.speed.photos import linked, photos
from benchmarks.speed.timing import CommandTiming, time_command

__all__ = ["commands_table", "time_commands"]

MADE = 200
"""Photos made at run time; more are links to the same files, each decoded anew."""


def time_commands(
    counts: Sequence[int], folders: Sequence[Path] = (), options: Sequence[str] = ()
) -> dict[str, CommandTiming]:
    """Time `qualiclip --help`, then `qualiclip score` on folders of so many photos."""
    command = [sys.executable, "-m", "qualiclip_metric"]
    found = {"qualiclip --help": time_command([*command, "--help"])}
    with photos(folders, MADE) as files:
        for count in counts:
            with linked(itertools.islice(itertools.cycle(files), count)) as folder:
                words = [*command, "score", str(folder), "--format", "csv", *options]
                found[f"{count:,} photo{'s' * (count > 1)}"] = time_command(words)
    return found


def commands_table(timings: dict[str, CommandTiming]) -> str:
    """Format the timings of `time_commands` as Markdown."""
    rows = [
        [name, f"{one.seconds:.1f}", f"{one.cpu_seconds:.1f}", number(one.peak, 0)]
        for name, one in timings.items()
    ]
    return markdown(["", "seconds", "CPU seconds", "peak MB"], rows)
