"""Published files: found on this machine or fetched, and their digests checked.

A file is looked for in this order, and fetched only if it is nowhere: the folder of `home`, the
hub's cache, and the caches of pyiqa, torch.hub and CLIP. It is checked on every use: against the
published digest where one is known, and otherwise against the one that was recorded when the file
was first used.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from qualiclip_metric.files import write_text
from qualiclip_metric.weights.download import DownloadError, address, download, sha256_of
from qualiclip_metric.weights.published import PUBLISHED, Source


class WeightsError(RuntimeError):
    """Weights that cannot be had or trusted.

    Raised wherever published weights are needed: by `create`, `build.load`, `resolve`, `fetch` and
    `verify`. The message holds the reason and every way out, one to a line.
    """


class LocalFile(NamedTuple):
    """A file of published weights on this machine, its digest checked.

    Args:
        path: The file.
        digest_from: What it was checked against: `published` (the publisher's digest), `recorded`
            (that of an earlier use), or `first use` where there was nothing to check against.
    """

    path: Path
    digest_from: str


def home() -> Path:
    """The user's weights folder: `QUALICLIP_HOME`, or one in the platform's cache directory."""
    if chosen := os.environ.get("QUALICLIP_HOME"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("qualiclip", appauthor=False, opinion=False)


def locate(name: str) -> LocalFile | None:
    """The file of published weights if it is on this machine already, its digest checked.

    Args:
        name: Key of `PUBLISHED`.

    Raises:
        WeightsError: When a file is there that is not the one it should be.
    """
    for source in PUBLISHED[name].sources:
        for path in _places(source):
            if path.is_file():
                return LocalFile(path, verify(path, source))
    return None


def fetch(name: str) -> Path:
    """The file of published weights, downloaded unless it is on this machine already.

    A second process that wants the same file waits for the first one and uses its file.

    Args:
        name: Key of `PUBLISHED`.

    Raises:
        WeightsError: When they cannot be had or trusted; the message holds the cure.
    """
    from filelock import FileLock

    if (found := locate(name)) is not None:
        return found.path
    folder, reasons = home(), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):
            if (found := locate(name)) is not None:
                return found.path
            for source in PUBLISHED[name].sources:
                try:
                    return _fetch_from(source)
                except DownloadError as err:
                    reasons.append(f"{address(source)}: {err}")
    except OSError as err:
        reasons.append(f"{folder}: cannot be written to ({err.strerror or err})")
    raise WeightsError(_cannot_be_had(name, reasons))


def verify(path: Path, source: Source) -> str:
    """Check a published file, and record its digest where none is known yet.

    Args:
        path: The file.
        source: Where it is from.

    Returns:
        As `LocalFile.digest_from`.

    Raises:
        WeightsError: When the digest is another.
    """
    digest, record = sha256_of(path), record_path(source)
    known = source.sha256 or _recorded(record)
    if known is None:
        _write_record(record, digest)
        return "first use"
    if digest != known:
        whose = "the publisher's" if source.sha256 else f"the one on record in {record}"
        cure = "" if source.sha256 else f", or delete {record} if the change is meant"
        raise WeightsError(
            f"{path}: sha256 is {digest}, not {whose}, {known}. The file is damaged or was "
            f"replaced: delete it and run `qualiclip weights fetch`{cure}"
        )
    return "published" if source.sha256 else "recorded"


def record_path(source: Source) -> Path:
    """Where the digest of a file is recorded that has no published one: beside it in `home`."""
    return home() / f"{source.file}.sha256"


def _places(source: Source) -> Iterator[Path]:
    """Where the file may be already, in the order of trust."""
    yield home() / source.file
    if source.repo:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(source.repo, source.file, revision=source.revision)
        if isinstance(cached, str):
            yield Path(cached)
    for cache in source.caches:
        yield Path(cache.format(torch=_torch_hub())).expanduser()


def _torch_hub() -> Path:
    """torch.hub's folder, by its documented rule: importing torch takes a second."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub"


def _fetch_from(source: Source) -> Path:
    """Download a file and check it: against the table, an earlier use, or what the hub announces.

    Raises:
        DownloadError: When it cannot be had, or is not what it should be; it is removed then.
    """
    path, announced = download(source, home())
    known = source.sha256 or _recorded(record_path(source)) or announced
    digest = sha256_of(path)
    if known is not None and digest != known:
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DownloadError(f"wrong digest: sha256 is {digest}, expected {known}")
    verify(path, source)
    return path


def _recorded(record: Path) -> str | None:
    return record.read_text().split()[0] if record.is_file() else None


def _write_record(record: Path, digest: str) -> None:
    """Record a digest in the format that `sha256sum --check` reads."""
    try:
        write_text(record, f"{digest}  {record.name.removesuffix('.sha256')}\n")
    except OSError as err:
        warnings.warn(
            f"the digest of {record.stem} could not be recorded ({err}); a changed file would go "
            "unnoticed: set QUALICLIP_HOME to a folder that can be written to",
            stacklevel=2,
        )


_BY_PATH = {"qualiclip": "give its path as the model, or set QUALICLIP_WEIGHTS to it"}


def _cannot_be_had(name: str, reasons: list[str]) -> str:
    """One message: what is missing, why, and every way out."""
    entry = PUBLISHED[name]
    lines = [f"{name}: the published weights ({entry.what}) cannot be had."]
    lines += [f"  tried   {reason}" for reason in reasons]
    for source in entry.sources:
        digest = source.sha256 or "not published, recorded on first use"
        lines.append(f"  file    {source.file} from {address(source)} (sha256: {digest})")
    lines += [
        f"  put it  into {home()} under that name (QUALICLIP_HOME names another folder)",
        f"  or      {_BY_PATH.get(name, 'give its path as the model')}",
    ]
    if any(source.repo for source in entry.sources):
        lines.append("  mirror  HF_ENDPOINT names another hub")
    lines += [
        "  offline create('lite') and `qualiclip score --model lite` need no download; "
        "`lite` is another model, with scores of its own",
    ]
    return "\n".join(lines)
