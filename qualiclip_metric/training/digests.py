"""Digests of pristine photos, and the split into training and validation that follows from them."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qualiclip_metric.files import write_text
from qualiclip_metric.sources.shard_source import Member
from qualiclip_metric.training.photos import Photo
from qualiclip_metric.training.report import Notify, Report, ignore

SAVE_EVERY = 10_000
"""New digests between two writes of the cache: an interrupted run hashes at most these again."""
FEW_HELD_OUT = 8
"""With fewer validation photos than this, a warning: the choice of the best model is then noisy."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Photos to train on, photos held out for validation, and the combined digest of the former."""

    learn: list[Photo]
    held: list[Photo]
    digest: str

    @property
    def sources(self) -> dict[str, Any]:
        """Numbers and digest, which tell whether another run has the same photos."""
        return {"photos": len(self.learn), "digest": self.digest, "held_out": len(self.held)}


def read_split(
    photos: Sequence[str | Photo], share: float, folder: Path, notify: Notify = ignore
) -> Split:
    """Hash the photos of a run and hold a share of them out; warn where these are few.

    `digests.json` in the run's folder keeps the digests. Raises ValueError when no photo is left to
    train on.
    """
    paths = [photo if isinstance(photo, Member) else Path(photo) for photo in photos]
    digests = digest_photos(
        paths, folder / "digests.json", lambda done: notify(Report("photos", done, len(paths)))
    )
    learn, held = split(digests, share)
    if not learn:
        raise ValueError("training: expected at least one pristine photo, got none")
    if share > 0 and len(held) < FEW_HELD_OUT:
        log.warning(
            "validation: %d of %d photos held out, fewer than %d: its figures are rough; give more "
            "photos or a larger validate_share than %g",
            len(held), len(digests), FEW_HELD_OUT, share,
        )  # fmt: skip
    return Split(learn, held, combined_digest(digests[photo] for photo in learn))


def digest_photos(
    paths: Sequence[Photo],
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[Photo, str]:
    """SHA-256 of each photo's contents, in hexadecimal; warn and leave out unreadable ones.

    `cache` is a JSON file of earlier digests. A photo with the path (or shard and place in it),
    size and modification time of an entry is not read again; new entries are added, atomically.
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
    """Divide photos into training and validation by the digests of their contents.

    A photo stays on its side when other photos are added or removed. With a share above 0 at least
    one photo is held out, the one with the smallest digest, unless all are copies of one.
    """
    # the first 64 bits of a SHA-256 are uniform, so `share` of them lie below the bound
    bound = int(share * 2**64)
    held = {path for path, digest in digests.items() if int(digest[:16], 16) < bound}
    if share > 0 and not held and len(set(digests.values())) > 1:
        least = min(digests.values())
        held = {path for path, digest in digests.items() if digest == least}  # and its copies
    return [p for p in digests if p not in held], [p for p in digests if p in held]


def combined_digest(digests: Iterable[str]) -> str:
    """SHA-256 over the digests of a set of files; names and order do not count."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _identity(photo: Photo) -> tuple[str, list[int]]:
    """Key of a photo in the cache, and its size and modification time in ns."""
    if isinstance(photo, Path):
        stat = photo.stat()
        return str(photo.absolute()), [stat.st_size, stat.st_mtime_ns]
    # with its offset: a tar file may hold several members of one name
    place = f"{photo.shard.absolute()}/{photo.name}@{photo.offset}"
    return place, [photo.size, photo.shard.stat().st_mtime_ns]


def _sha256(photo: Photo) -> str:
    return hashlib.sha256(photo.read_bytes()).hexdigest()


def _read_cache(cache: Path | None) -> dict[str, list[int | str]]:
    """Entries of a cache: path -> size, modification time in ns, digest; none if unusable."""
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
