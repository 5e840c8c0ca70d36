"""Digests of pristine photos: each is read and hashed once, whatever is told from its contents."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from qualiclip_metric.files import write_text
from qualiclip_metric.training.photos import Photo

SAVE_EVERY = 10_000
"""New digests after which the cache is written, so that a run cut off while hashing loses few."""

log = logging.getLogger(__name__)


def digest_photos(
    paths: Sequence[Photo],
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[Photo, str]:
    """SHA-256 of each photo's contents; one that cannot be opened is left out with a warning.

    Args:
        paths: Photos.
        cache: JSON file of earlier digests. A photo whose path (or shard and place therein), size
            and modification time are those of an entry is not read again; new entries are added,
            atomically.
        progress: Called with the number of photos done.

    Returns:
        Hexadecimal digests by path, in the order of `paths`.

    Raises:
        OSError: Where the cache cannot be written.
    """
    entries = _read_cache(cache)
    digests, unsaved = {}, 0
    for done, path in enumerate(paths, start=1):
        try:
            key, stamp = _identity(path)
            if entries.get(key, [])[:2] != stamp:
                entries[key] = [*stamp, _sha256(path)]
                unsaved += 1
            digests[path] = str(entries[key][2])
        except OSError as err:
            log.warning("left out: %s (%s)", path, err.strerror or err)
        if cache is not None and unsaved and (unsaved == SAVE_EVERY or done == len(paths)):
            write_text(cache, json.dumps(entries))
            unsaved = 0
        if progress is not None:
            progress(done)
    return digests


def split(digests: Mapping[Photo, str], share: float) -> tuple[list[Photo], list[Photo]]:
    """Photos for training and for validation, by the digest of each file's contents.

    A photo stays on its side whatever other photos come or go.

    Args:
        digests: As `digest_photos` gives them.
        share: Share to hold out for validation, 0 to 1. Where it is above 0 and no digest is below
            it, the photo with the smallest digest is held out, unless all are copies of one.

    Returns:
        Photos to train on, and photos held out.
    """
    bound = int(share * 2**64)
    held = {path for path, digest in digests.items() if int(digest[:16], 16) < bound}
    if share > 0 and not held and len(set(digests.values())) > 1:
        least = min(digests.values())
        held = {path for path, digest in digests.items() if digest == least}  # copies, too
    return [p for p in digests if p not in held], [p for p in digests if p in held]


def combined_digest(digests: Iterable[str]) -> str:
    """SHA-256 over the digests of a set of files, whatever their names and order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _identity(photo: Photo) -> tuple[str, list[int]]:
    """What tells a photo from others, and its size and modification time in ns.

    Raises:
        OSError: Where the file cannot be had.
    """
    if isinstance(photo, Path):
        stat = photo.stat()
        return str(photo.absolute()), [stat.st_size, stat.st_mtime_ns]
    # by its place: a tar file may hold several members of one name
    place = f"{photo.shard.absolute()}/{photo.name}@{photo.offset}"
    return place, [photo.size, photo.shard.stat().st_mtime_ns]


def _sha256(photo: Photo) -> str:
    return hashlib.sha256(photo.read_bytes()).hexdigest()


def _read_cache(cache: Path | None) -> dict[str, list[int | str]]:
    """The entries of a cache: path -> size, modification time in ns, digest; none if unusable."""
    if cache is None or not cache.is_file():
        return {}
    try:
        entries = json.loads(cache.read_text(encoding="utf-8"))
        return {
            str(path): [int(size), int(at), str(sha)] for path, (size, at, sha) in entries.items()
        }
    except (ValueError, TypeError, AttributeError, OSError) as err:
        log.warning("%s is not used, every photo is read again (%s)", cache, err)
        return {}
