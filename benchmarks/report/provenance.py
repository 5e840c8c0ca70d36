"""Provenance of a report: versions, machine, dates."""

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["made_on", "software", "written_on"]

PACKAGES = (
    *("qualiclip-metric", "torch", "torchvision", "open_clip_torch", "pyiqa"),
    *("numpy", "scipy", "pandas", "pillow"),
)


def software() -> dict[str, str]:
    """List package versions and the machine that makes the report."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    versions["Python"] = platform.python_version()
    versions["system"] = f"{platform.system()} {platform.machine()}"
    versions["processor"] = f"{_processor()}, {os.cpu_count()} cores"
    return versions


def _processor() -> str:
    """The processor's name, where the system has one."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or "unknown processor")


def made_on() -> str:
    """Return today's date in UTC, or that of ``SOURCE_DATE_EPOCH``, for reproducible reports."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.now(timezone.utc) if epoch is None else _date(float(epoch))
    return now.date().isoformat()


def written_on(files: list[Path]) -> str:
    """Return the dates of the oldest and the newest of some files; empty without files."""
    if "SOURCE_DATE_EPOCH" in os.environ:
        return made_on()
    dates = sorted(_date(file.stat().st_mtime).date().isoformat() for file in files)
    if not dates:
        return ""
    return dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"


def _date(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
