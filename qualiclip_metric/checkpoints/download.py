"""Files of published weights: found on this machine or downloaded, and verified.

A published file is looked for in the folder of `cache_folder`, in the hub's cache, and in the
caches of pyiqa, torch.hub and CLIP; if it is in none of them, it is downloaded. huggingface_hub and
pooch do the transfers: proxies, retries, locks, and files that appear complete or not at all.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from qualiclip_metric.checkpoints.published import HUB_PREFIX, PUBLISHED, UNPINNED, WeightsSource
from qualiclip_metric.files import first_line

HUB_FILE = "model.safetensors"
"""The file that holds the model in such a repository."""
TIMEOUT = 30.0
RETRIES = 2


class WeightsError(RuntimeError):
    """Weights that cannot be found, downloaded or verified.

    The message states the reason, and then every way to get the file, one per line.
    """


class DownloadError(Exception):
    """A failed download; the message is one line."""


class LocalFile(NamedTuple):
    """A file of published weights on this machine."""

    path: Path
    pinned: bool  # whether its digest is in the table of published weights and was compared


def cache_folder() -> Path:
    """The user's folder of weights: `QUALICLIP_HOME`, or one in the platform's cache directory."""
    if chosen := os.environ.get("QUALICLIP_HOME"):
        return Path(chosen).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("qualiclip", appauthor=False, opinion=False)


def locate(name: str) -> LocalFile | None:
    """Find the file of published weights on this machine; WeightsError when its digest is wrong."""
    for source in PUBLISHED[name].sources:
        for path in _places(source):
            if path.is_file():
                verify(path, source)
                return LocalFile(path, source.sha256 is not None)
    return None


def fetch(name: str) -> Path:
    """Find the file of published weights, or download it; WeightsError states the cure."""
    if (found := locate(name)) is not None:
        return found.path
    reasons = []
    for source in PUBLISHED[name].sources:
        try:
            path = _download(source)
            verify(path, source)
            return path
        except (DownloadError, WeightsError) as err:
            reasons.append(f"{address(source)}: {err}")
    raise WeightsError(_unavailable_message(name, reasons))


def hub_source(name: str) -> WeightsSource:
    """Parse `hf://user/name` or `hf://user/name@revision`."""
    repo, at, revision = name.removeprefix(HUB_PREFIX).partition("@")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo) or bool(at) != bool(revision):
        raise ValueError(
            f"model: expected {HUB_PREFIX}user/name or {HUB_PREFIX}user/name@revision, got {name!r}"
        )
    return WeightsSource(HUB_FILE, repo=repo, revision=revision or UNPINNED)


def fetch_from_hub(name: str) -> Path:
    """Download a user's model from the hub; without a network, take it from the hub's cache."""
    source = hub_source(name)
    try:
        path = _download(source)
    except DownloadError as err:
        raise WeightsError(
            f"{name}: {source.file} cannot be downloaded from {address(source)}, and the hub's "
            f"cache does not hold it.\n  tried   {err}\n  mirror  HF_ENDPOINT names another hub\n"
            "  or      download the file elsewhere and give its path as the model"
        ) from err
    verify(path, source)
    return path


def verify(path: Path, source: WeightsSource) -> None:
    """Compare a file's SHA-256 with the table's, or with the one that the hub announced for it.

    A file with neither is accepted: `published` says how its reader is protected.
    """
    # the hub's cache names a file by the digest that the hub announced, behind a symbolic link
    announced = path.resolve().name if source.repo else ""
    known = source.sha256 or (announced if re.fullmatch("[0-9a-f]{64}", announced) else None)
    if known is not None and (digest := sha256_of(path)) != known:
        publisher = "the published one" if source.sha256 else "the one that the hub announced"
        raise WeightsError(
            f"{path}: wrong digest: sha256 is {digest}, not {publisher}, {known}. The file is "
            "damaged or was replaced: delete it and run the command again"
        )


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    import pooch

    digest: str = pooch.file_hash(str(path), alg="sha256")
    return digest


def address(source: WeightsSource) -> str:
    """URL of a source, on the hub's mirror if one is set."""
    if source.repo is None:
        return str(source.url)
    from huggingface_hub import hf_hub_url

    return hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=hub_endpoint())


def hub_endpoint() -> str | None:
    """The hub's mirror in HF_ENDPOINT, without a final slash, which would be doubled in URLs."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def _places(source: WeightsSource) -> Iterator[Path]:
    """Paths where the file may be, most specific first."""
    yield cache_folder() / source.file
    if source.repo:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(source.repo, source.file, revision=source.revision)
        if isinstance(cached, str):
            yield Path(cached)
    for path in source.caches:
        yield Path(path.format(torch=torch.hub.get_dir())).expanduser()


def _download(source: WeightsSource) -> Path:
    """Download a file: from the hub into the hub's cache, from a URL into `cache_folder`."""
    if not source.repo and is_offline():
        raise DownloadError("not tried, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    try:
        return Path(_from_hub(source) if source.repo else _from_url(source))
    except Exception as err:  # the libraries' own errors, and those of HTTP and of files
        # the hub's library says "not in the cache" where its cause is the network or offline mode
        wrapped = type(err).__name__ == "LocalEntryNotFoundError" and err.__cause__
        cause = wrapped or err
        raise DownloadError(f"{type(cause).__name__}: {first_line(cause)}") from err


def _from_hub(source: WeightsSource) -> str:
    from huggingface_hub import hf_hub_download

    assert source.repo is not None
    return hf_hub_download(
        source.repo,
        source.file,
        revision=source.revision,
        endpoint=hub_endpoint(),
        etag_timeout=TIMEOUT,
    )


def _from_url(source: WeightsSource) -> str:
    import pooch

    store = pooch.create(
        path=cache_folder(),
        base_url="",
        registry={source.file: f"sha256:{source.sha256}" if source.sha256 else None},
        urls={source.file: source.url},
        retry_if_failed=RETRIES,
    )
    downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
    return str(store.fetch(source.file, downloader=downloader))


def _unavailable_message(name: str, reasons: list[str]) -> str:
    """State which weights are missing, why, and every way to get them."""
    entry = PUBLISHED[name]
    variable = ", or set QUALICLIP_WEIGHTS to it" if name == "qualiclip" else ""
    lines = [f"{name}: the published weights ({entry.title}) are not available."]
    lines += [f"  tried   {reason}" for reason in reasons]
    for source in entry.sources:
        digest = source.sha256 or "not known"
        lines.append(f"  file    {source.file} from {address(source)} (sha256: {digest})")
    lines += [
        f"  put it  into {cache_folder()} under that name (QUALICLIP_HOME names another folder)",
        f"  or      give its path as the model{variable}",
    ]
    if any(source.repo for source in entry.sources):
        lines.append("  mirror  HF_ENDPOINT names another hub")
    lines += [
        "  offline create('lite') and `qualiclip score --model lite` need no download; "
        "`lite` is a different model, with different scores",
    ]
    return "\n".join(lines)
