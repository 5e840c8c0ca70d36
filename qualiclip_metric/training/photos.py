"""Pristine photos: files, and members of uncompressed tar shards, read at random."""

from collections.abc import Iterable
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from qualiclip_metric import images
from qualiclip_metric.decoding import Encoded
from qualiclip_metric.sources import folders
from qualiclip_metric.sources.arguments import expand
from qualiclip_metric.sources.item import is_shard, is_url
from qualiclip_metric.sources.shard_source import Member, members

Photo = Path | Member


def find(arguments: Iterable[str | Path]) -> list[Photo]:
    """Find the photos of files, folders, patterns and tar shards, in a stable order, each once.

    Names that end in `.tar` are shards, with braces (`photos-{000..099}.tar`) or a pattern; only
    their headers are read, and their photos are ordered as in a folder with the same files. Raises
    ValueError for a name that holds no image or is a URL, and for a compressed or damaged shard.
    """
    found: list[Photo] = []
    for name in map(str, arguments):
        if is_url(name):
            raise ValueError(f"{name}: training reads photos at random, not by URL: copy them here")
        if is_shard(name) and not Path(name).is_dir():
            for shard in expand(name):
                found += members(Path(shard))
        else:
            found += folders.find([name])
    return list(dict.fromkeys(found))


def read(photo: str | Path | Member) -> Float[Tensor, "3 h w"]:
    """Read a photo as `images.read` does; a missing or bad one raises ImageError."""
    if not isinstance(photo, Member):
        return images.read(photo, colour="raw")
    try:
        content = photo.read_bytes()
    except OSError as err:
        raise images.ImageError(f"{photo}: {err.strerror or err}") from err
    return images.read(Encoded(str(photo), content), colour="raw")
