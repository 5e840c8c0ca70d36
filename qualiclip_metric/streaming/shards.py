"""Images in WebDataset shards: tar files, read from front to back."""

from collections.abc import Iterator

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.decoding.formats import is_image
from qualiclip_metric.streaming.items import Item, opened

SUFFIXES = (".tar", ".tar.gz", ".tgz")
CURE = "pip install 'qualiclip-metric[scale]'"


def is_shard(name: str) -> bool:
    """Whether a name is that of a tar file."""
    return name.lower().endswith(SUFFIXES)


def images(shard: str) -> Iterator[Item]:
    """Images of a shard, in its order; members with other suffixes are left out.

    Args:
        shard: Path, or URL that fsspec knows.

    Yields:
        An item for each, its key `shard/member`. Where the shard cannot be read, or not to its
        end, an item with the shard's name as key and the reason.

    Raises:
        ValueError: When webdataset is missing.
    """
    try:
        from webdataset.tariterators import tar_file_iterator
    except ImportError as err:
        raise ValueError(f"{shard}: shards need webdataset: {CURE}") from err

    try:
        with opened(shard) as file:
            for member in tar_file_iterator(file, select_files=_is_shown):
                key = f"{shard}/{member['fname']}"
                yield Item(key, Encoded(key, member["data"]))
    except FileNotFoundError:
        yield Item(shard, None, error="no such file")
    except Exception as err:  # of tarfile, of decompression, of the store
        reason = str(err).partition(" @ ")[0] or type(err).__name__
        yield Item(shard, None, error=f"cannot be read as a tar file to its end ({reason})")


def _is_shown(member: str) -> bool:
    return is_image(member) and not any(part.startswith(".") for part in member.split("/"))
