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
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from qualiclip_metric._download import DownloadError, Report, download, sha256_of

EMBEDDED = {"lite": "lite.safetensors"}
"""Models whose weights are inside the package."""

NONCOMMERCIAL = "CC BY-NC 4.0"


class WeightsError(RuntimeError):
    """Weights that cannot be had or trusted; the message says why, and what to do."""


@dataclass(frozen=True)
class Source:
    """One place where a file is published.

    Args:
        url: Address; `{hub}` stands for the Hugging Face hub or its mirror.
        file: Name under which the file is kept.
        sha256: Digest, where one is really known: then the publisher gives it. None: recorded on
            first use.
        repo: Hub repository, for its cache.
        revision: Hub revision. `main` where no revision is known to pin.
        caches: Where other programs keep the same file; `{torch}` is torch.hub's folder.
    """

    url: str
    file: str
    sha256: str | None = None
    repo: str | None = None
    revision: str = "main"
    caches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """Weights that others publish: where, and under which licence."""

    sources: tuple[Source, ...]
    licence: str
    what: str
    temperature: float = 2.0


def _pyiqa_weights(file: str) -> Source:
    repo = "chaofengc/IQA-PyTorch-Weights"
    url = f"{{hub}}/{repo}/resolve/main/{file.replace('+', '%2B')}"
    return Source(url, file, repo=repo, caches=(f"{{torch}}/pyiqa/{file}",))


def _plus(labels: str, file: str) -> Published:
    return Published((_pyiqa_weights(file),), NONCOMMERCIAL, f"QualiCLIP+, prompts for {labels}")


_OPENAI_SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"

PUBLISHED: dict[str, Published] = {
    "qualiclip": Published(
        sources=(
            _pyiqa_weights("QualiCLIP.pth"),
            Source(
                "https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth",
                "qualiclip.pth",
                caches=("{torch}/checkpoints/qualiclip.pth",),
            ),
        ),
        licence=NONCOMMERCIAL,
        what="QualiCLIP of the paper, RN50",
    ),
    "qualiclip+": _plus("KonIQ", "QualiCLIP+_koniq.pth"),
    "qualiclip+-clive": _plus("CLIVE", "QualiCLIP+_clive.pth"),
    "qualiclip+-flive": _plus("FLIVE", "QualiCLIP+_flive.pth"),
    "qualiclip+-spaq": _plus("SPAQ", "QualiCLIP+_spaq.pth"),
    "openai": Published(
        sources=(
            Source(
                f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/RN50.pt",
                "RN50.pt",
                sha256=_OPENAI_SHA256,
                caches=("~/.cache/clip/RN50.pt", "{torch}/clip/RN50.pt"),
            ),
        ),
        licence="MIT",
        what="CLIP RN50 as OpenAI trained it, where QualiCLIP starts",
    ),
}
"""Name -> weights that can be fetched. File sizes are the servers' to tell: none is known here."""

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


def licence(model: str | Path) -> str | None:
    """Licence of published weights, None for all others: their files tell."""
    name = known_as(model)
    return PUBLISHED[name].licence if name in PUBLISHED else None


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
    scratch = record.with_name(f"{record.name}.{os.getpid()}")
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(f"{digest}  {record.name.removesuffix('.sha256')}\n")
        scratch.replace(record)
    except OSError as err:
        warnings.warn(
            f"the digest of {record.stem} could not be recorded ({err}); a changed file would go "
            "unnoticed: set QUALICLIP_HOME to a folder that can be written to",
            stacklevel=2,
        )


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
        "  or      set QUALICLIP_WEIGHTS to its path, HF_ENDPOINT to a mirror of the hub",
        "  offline create('lite') and `qualiclip score --model lite` need no download; "
        "`lite` is another model, with scores of its own",
    ]
    return "\n".join(lines)
