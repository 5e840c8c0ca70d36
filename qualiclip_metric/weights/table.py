"""Where weights are: names, the files behind them, their digests. Knows no tensors.

The only door to caches and, through `_download`, to the network. A published file is looked for in
this order, and fetched only if it is nowhere: the folder of `home`, the hub's cache, and the caches
of pyiqa, torch.hub and CLIP. Every file is checked on every use: against the published digest where
one is known, and otherwise against the one that was recorded when the file was first used.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from pathlib import Path

from qualiclip_metric.files import write_text
from qualiclip_metric.weights.download import DownloadError, Report, download, sha256_of
from qualiclip_metric.weights.published import PUBLISHED, Published, Source

__all__ = [
    "EMBEDDED",
    "PUBLISHED",
    "Published",
    "Source",
    "WeightsError",
    "check",
    "fetch",
    "home",
    "known_as",
    "locate",
    "names",
    "published",
    "record_of",
    "register",
    "registered",
    "resolve",
    "verify",
]

EMBEDDED = {"lite": "lite.safetensors"}
"""Models whose weights are inside the package."""


class WeightsError(RuntimeError):
    """Weights that cannot be had or trusted; the message says why, and what to do."""


_REGISTERED: dict[str, Path] = {}


def names() -> tuple[str, ...]:
    """Every name that `resolve` knows, embedded first."""
    return (*EMBEDDED, *PUBLISHED, *_REGISTERED)


def registered() -> tuple[str, ...]:
    """Names that the user gave."""
    return tuple(_REGISTERED)


def register(name: str, path: str | os.PathLike[str]) -> None:
    """Give a checkpoint a name, for as long as the process lasts.

    Raises:
        ValueError: When the name is taken, or there is no such file.
    """
    if name in {*EMBEDDED, *PUBLISHED}:
        raise ValueError(f"name: {name!r} is taken; choose one other than {', '.join(names())}")
    file = Path(path).expanduser().absolute()
    if not file.is_file():
        raise ValueError(f"path: expected a checkpoint, found no file at {file}")
    _REGISTERED[name] = file


def home() -> Path:
    """The user's weights folder: `QUALICLIP_HOME`, or one in the platform's cache directory."""
    if chosen := os.environ.get("QUALICLIP_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    return base.expanduser() / "qualiclip"


def resolve(model: str | Path, *, progress: bool = True) -> Path:
    """The local file of a model, fetched if need be.

    Args:
        model: A registered name, or a path. `QUALICLIP_WEIGHTS`, a path or a name, stands in for
            the name `qualiclip`.
        progress: Show a bar on stderr while fetching, if stderr is a terminal.

    Returns:
        Path of the checkpoint, its digest checked if it is a published one.

    Raises:
        ValueError: When it is neither a registered name nor a file.
        WeightsError: When published weights cannot be had or trusted.
    """
    chosen = _chosen(model)
    if isinstance(chosen, str):
        if chosen in EMBEDDED:
            return Path(str(resources.files("qualiclip_metric") / "data" / EMBEDDED[chosen]))
        if chosen in _REGISTERED:
            return _REGISTERED[chosen]
        if chosen in PUBLISHED:
            return locate(chosen) or fetch(chosen, progress=progress)
    path = Path(chosen).expanduser()
    if path.is_file():
        return path
    whence = "model" if chosen == model else "QUALICLIP_WEIGHTS"
    raise ValueError(
        f"{whence}: {str(chosen)!r} is neither a registered name ({', '.join(names())}) nor a file"
    )


def known_as(model: str | Path) -> str | None:
    """The registered name that `resolve` follows, None where it follows a path."""
    chosen = _chosen(model)
    return chosen if isinstance(chosen, str) and chosen in names() else None


def published(model: str | Path) -> Published | None:
    """What is known of published weights beside their file; None for all others."""
    return PUBLISHED.get(known_as(model) or "")


def locate(name: str) -> Path | None:
    """The file of published weights if it is on this machine already, its digest checked.

    Raises:
        WeightsError: When a file is there that is not the one it should be.
    """
    found = check(name)
    return found[0] if found else None


def check(name: str) -> tuple[Path, str] | None:
    """The file of published weights, and what vouches for it (see `verify`); None if not here.

    Raises:
        WeightsError: When a file is there that is not the one it should be.
    """
    for source in PUBLISHED[name].sources:
        for path in _places(source):
            if path.is_file():
                return path, verify(path, source)
    return None


def fetch(name: str, *, progress: bool = True) -> Path:
    """Download published weights into `home`, unless they are there.

    A second process that wants the same file waits for the first one and uses its file.

    Raises:
        WeightsError: When they cannot be had; the message holds the cure.
    """
    from filelock import FileLock

    folder, reasons = home(), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock: AbstractContextManager[object] = FileLock(folder / f"{name}.lock")
        with lock:
            if (found := locate(name)) is not None:
                return found
            for source in PUBLISHED[name].sources:
                try:
                    return _fetch_from(source, name, progress)
                except DownloadError as err:
                    reasons.append(f"{_address(source)}: {err}")
    except OSError as err:
        reasons.append(f"{folder}: cannot be written to ({err.strerror or err})")
    raise WeightsError(_cannot_be_had(name, reasons))


def verify(path: Path, source: Source) -> str:
    """Check a published file, and record its digest where none is known yet.

    Returns:
        `published` if the publisher's digest was checked, `recorded` if an earlier use's,
        `first use` if there was none.

    Raises:
        WeightsError: When the digest is another.
    """
    digest, record = sha256_of(path), record_of(source)
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


def record_of(source: Source) -> Path:
    """Where the digest of a file is kept that has no published one: beside the file in `home`."""
    return home() / f"{source.file}.sha256"


def _chosen(model: str | Path) -> str | Path:
    default = os.environ.get("QUALICLIP_WEIGHTS")
    return default if model == "qualiclip" and default else model


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
    """torch.hub's folder, told without importing torch (its documented rule)."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch") / "hub"


def _address(source: Source) -> str:
    """Where the source is, with the hub's mirror if there is one."""
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return source.url.format(hub=hub.rstrip("/"))


def _fetch_from(source: Source, name: str, progress: bool) -> Path:
    for switch in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(switch, "").upper() in {"1", "ON", "YES", "TRUE"}:
            raise DownloadError(f"not tried, {switch} is set")
    target, record = home() / source.file, record_of(source)
    known = source.sha256 or _recorded(record)
    bar = _bar(name) if progress and sys.stderr.isatty() else nullcontext()
    with bar as report:
        digest = download(_address(source), target, sha256=known, report=report)
    if known is None:
        _write_record(record, digest)
    return target


def _bar(name: str) -> AbstractContextManager[Report]:
    from qualiclip_metric._progress import bytes_bar

    return bytes_bar(f"fetching {name} ({PUBLISHED[name].licence})")


def _recorded(record: Path) -> str | None:
    return record.read_text().split()[0] if record.is_file() else None


def _write_record(record: Path, digest: str) -> None:
    """In the format of `sha256sum`, so that `sha256sum --check` reads it, too."""
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
        lines.append(f"  file    {source.file} from {_address(source)} (sha256: {digest})")
    lines += [
        f"  put it  into {home()} (QUALICLIP_HOME names another folder)",
        f"  or      {_BY_PATH.get(name, 'give its path as the model')}",
        "  mirror  HF_ENDPOINT names another hub",
        "  offline create('lite') and `qualiclip score --model lite` need no download; "
        "`lite` is another model, with scores of its own",
    ]
    return "\n".join(lines)
