"""The ways to time: a call with `torch.utils.benchmark`, a command as a process of its own."""

import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

__all__ = ["CommandTiming", "call_seconds", "images_per_second", "time_command"]

ERROR_CHARACTERS = 500
"""How much of a failed command's stderr goes into the error."""


def call_seconds(call: Callable[[], object], least: float = 1.0) -> float:
    """Median seconds of a call over at least ``least`` seconds, after a warm-up."""
    from torch.utils.benchmark import Timer  # its import may log a line about CUDA

    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return float(timer.blocked_autorange(min_run_time=least).median)


@dataclass(frozen=True)
class CommandTiming:
    """Time and memory of one command, with all its threads and child processes."""

    seconds: float  # from its start to its end
    cpu_seconds: float  # of user and system together
    # largest resident memory of one of its processes, in megabytes (10^6 bytes); NaN where it is
    # hidden by that of this process, from which Linux starts to count
    peak: float


def time_command(words: Sequence[str], **environment: str) -> CommandTiming:
    """Run a command to its end, with further environment variables."""
    import resource  # POSIX only, and this module is imported with all speed commands

    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    variables = {**os.environ, **environment}
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        process = subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip()
            raise ValueError(f"{' '.join(words)} failed: {text[-ERROR_CHARACTERS:]}")
    unit = 1 if os.uname().sysname == "Darwin" else 1024  # macOS counts bytes, Linux KiB
    peak = usage.ru_maxrss * unit / 1e6 if usage.ru_maxrss > own else math.nan
    return CommandTiming(seconds, usage.ru_utime + usage.ru_stime, peak)


def images_per_second(seconds: Mapping[int, float]) -> float:
    """Rate between the fewest and the most images, in which the start-up cancels out.

    NaN where the larger run took no longer.
    """
    few, many = min(seconds), max(seconds)
    longer = seconds[many] - seconds[few]
    return (many - few) / longer if longer > 0 else math.nan
