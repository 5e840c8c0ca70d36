"""Fetching one file: from the Hugging Face hub, or from a plain address.

`huggingface_hub` and `pooch` do the transfers: proxies, retries, disk space, and a file that
appears whole or not at all. A connection that breaks is taken up again where it broke (hub) or
started over (plain address); what a killed process had received is lost in both cases.
"""

import os
import re
import sys
from pathlib import Path

from qualiclip_metric.weights.published import Source

TIMEOUT = 30.0
RETRIES = 2


class DownloadError(Exception):
    """Why a file did not come, in one line."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    import pooch

    digest: str = pooch.file_hash(str(path), alg="sha256")
    return digest


def address(source: Source) -> str:
    """Where a source is: its address, with the hub's mirror if there is one, or in words."""
    if source.repo is None:
        return source.url or source.origin
    from huggingface_hub import hf_hub_url

    return hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=hub_endpoint())


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE forbids the network."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def download(source: Source, folder: Path) -> tuple[Path, str | None]:
    """Fetch a file, from the hub into the hub's cache, from elsewhere into a folder.

    Args:
        source: Where the file is.
        folder: Where a file that is not the hub's is put.

    Returns:
        Path of the file, and the SHA-256 that the hub announces for it, None where none is.

    Raises:
        DownloadError: When the file cannot be had.
    """
    if source.repo is None and source.url is None:
        raise DownloadError("no address is known to download it from")
    if is_offline():
        raise DownloadError("not tried, HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set")
    try:
        return _from_hub(source) if source.repo else (_from_url(source, folder), None)
    except Exception as err:  # the libraries' own, and of whatever they use for HTTP and files
        raise DownloadError(_reason(err)) from err


def _from_hub(source: Source) -> tuple[Path, str | None]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_download

    assert source.repo is not None
    # the question itself ends at once where nobody answers; hf_hub_download would try for long
    etag = get_hf_file_metadata(address(source), timeout=TIMEOUT).etag
    path = hf_hub_download(
        source.repo, source.file, revision=source.revision, endpoint=hub_endpoint()
    )
    return Path(path), etag if etag and re.fullmatch("[0-9a-f]{64}", etag) else None


def _from_url(source: Source, folder: Path) -> Path:
    import pooch

    known = f"sha256:{source.sha256}" if source.sha256 else None
    store = pooch.create(
        path=folder,
        base_url="",
        registry={source.file: known},
        urls={source.file: source.url},
        retry_if_failed=RETRIES,
    )
    bar = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
    return Path(store.fetch(source.file, downloader=bar))


def hub_endpoint() -> str | None:
    """The hub's mirror, without the slash that would double in addresses."""
    return (os.environ.get("HF_ENDPOINT") or "").rstrip("/") or None


def _reason(err: BaseException) -> str:
    """The first line of an error; of its cause where the hub's library wraps one."""
    text = str(err).strip().splitlines()
    return f"{type(err).__name__}: {text[0]}" if text else type(err).__name__
