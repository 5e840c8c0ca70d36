"""What is done with a damaged file, and how it may end; runs in a process of its own."""

import functools
import re
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import DatasetError, load, parse
from benchmarks.scoring.children import end_with_parent
from qualiclip_metric import create, formats
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.scoring import score_files

__all__ = ["ACCEPTED", "FAILURES", "REFUSED", "TARGETS", "Ending", "examine", "kind_of", "prepare"]

ACCEPTED, REFUSED = "read", "refused with a reason"
ESCAPED, WRONG, CRASHED, HUNG, HUNGRY = (
    "EXCEPTION", "SCORE OUT OF RANGE", "CRASHED", "HUNG", "OVER 2 GB",
)  # fmt: skip
FAILURES = (ESCAPED, WRONG, CRASHED, HUNG, HUNGRY)
"""Endings that no file should have."""

MEMORY = 2000.0
"""Megabytes above the start that a file may take at most."""


@dataclass(frozen=True)
class Ending:
    """How a file ended.

    Attributes:
        outcome: `ACCEPTED`, `REFUSED` or one of `FAILURES`.
        reason: The message, where there is one.
        seconds: Time that it took.
        megabytes: Peak memory above what the process held before.
    """

    outcome: str
    reason: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


def prepare(parent: int) -> None:
    """Prepare a child: it ends with its parent, and says nothing of damage that it warns of.

    A terminal's Ctrl-C reaches it, too; it reads on, for the parent stops between two files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    end_with_parent(parent)


def examine(kind: str, path: Path) -> Ending:
    """Read a file as its kind says.

    Args:
        kind: A key of `TARGETS`.
        path: The file.

    Returns:
        How it ended; what is thrown and is no refusal is `ESCAPED`.
    """
    target = TARGETS[kind]
    if kind in ("bombs", "images"):
        _lite()  # its time and memory are not the file's
    before = _reset_peak()
    start = time.perf_counter()
    try:
        outcome, reason = target(path)
    except Exception as err:  # this is what is looked for
        outcome, reason = ESCAPED, f"{type(err).__name__}: {err}"
    seconds = time.perf_counter() - start
    megabytes = max(0.0, _status("VmHWM") - before)
    if megabytes > MEMORY and outcome in (ACCEPTED, REFUSED):
        outcome = HUNGRY
    return Ending(outcome, reason[:300], seconds, megabytes)


def kind_of(reason: str) -> str:
    """A reason without what differs from file to file: paths, quotations and numbers."""
    text = re.sub(r"(?<![\w.])/\S+", "PATH", reason)
    text = re.sub(r"'[^']*'|\"[^\"]*\"|b'.*", "'...'", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)[:90]


@functools.cache
def _lite() -> QualiCLIP:
    return create("lite", device="cpu")


def _image(path: Path) -> tuple[str, str]:
    (result,) = score_files(_lite(), [path], workers=1)
    if result.error is not None:
        return REFUSED, result.error
    assert result.score is not None
    if not 0.0 <= result.score <= 1.0:
        return WRONG, f"score {result.score}"
    return ACCEPTED, ""


def _checkpoint(path: Path) -> tuple[str, str]:
    try:
        formats.load(path)
    except formats.CheckpointError as err:
        return REFUSED, str(err)
    return ACCEPTED, ""


def _labels(path: Path) -> tuple[str, str]:
    try:
        load(parse(f"csv={path}"), allow_missing=True)
    except DatasetError as err:
        return REFUSED, str(err)
    return ACCEPTED, ""


TARGETS: dict[str, Callable[[Path], tuple[str, str]]] = {
    "bombs": _image,
    "images": _image,
    "checkpoints": _checkpoint,
    "labels": _labels,
}
"""Kind of file -> what reads it."""


def _reset_peak() -> float:
    """Forget the peak memory so far, where Linux can; megabytes held now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # elsewhere, or not allowed: the peak is then that of all files so far
        return _status("VmHWM")
    return _status("VmRSS")


def _status(name: str) -> float:
    """A figure of /proc/self/status in megabytes (10^6 bytes); 0 where there is none."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((int(s.split()[1]) * 1024 / 1e6 for s in lines if s.startswith(f"{name}:")), 0.0)
