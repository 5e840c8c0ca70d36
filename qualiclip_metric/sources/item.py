"""`Item`, an image to be scored: its key, where it is, and its columns of a table."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from numpy.typing import NDArray

from qualiclip_metric.decoding import Encoded
from qualiclip_metric.extras import require

REMOTE_CURE = "pip install 'qualiclip-metric[remote]' has what URLs need"
ZIPS = (".zip",)
ZSTD = (".tar.zst", ".tzst")
SHARDS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", *ZSTD, *ZIPS)
FETCHES = 16
"""Files behind URLs that are fetched at once."""


@dataclass(frozen=True)
class Url:
    """An image file that has to be fetched first."""

    address: str


@dataclass(frozen=True)
class Item:
    """An image to be scored.

    Args:
        key: Identifies the image: its path or URL as it was given, or its place within a shard or
            table, as in `shard-000.tar/a.jpg` and `photos.parquet#7`.
        image: Its place, its file's content, or its pixels, (H, W, 3), uint8 in 0..255 or float32
            in [0, 1]; None if there is none, and `error` states the reason.
        columns: Columns of the table that named it; they are written with its score.
        error: The reason why there is no image, one line.
    """

    key: str
    image: Path | Encoded | Url | NDArray[Any] | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def is_url(name: str) -> bool:
    """Whether a name is a URL that fsspec opens."""
    return "://" in name


def file_name(name: str) -> str:
    """Name that tells the kind of a file, in lower case: a path, or a URL without its query.

    For URLs that fsspec chains, the first: `zip://a.png::https://host/b.zip` gives `zip://a.png`.
    """
    if is_url(name):
        name = next(part for part in name.split("::") if is_url(part)).partition("?")[0]
    return name.lower()


def is_shard(name: str) -> bool:
    """Whether a name is that of a tar or zip file."""
    return file_name(name).endswith(SHARDS)


def item_for(name: str, root: str = "", columns: Mapping[str, Any] | None = None) -> Item:
    """Make the item of a path or URL in a list or a table; the name there becomes the key."""
    place = name if is_url(name) or Path(name).is_absolute() or not root else f"{root}/{name}"
    return Item(name, Url(place) if is_url(place) else Path(place), columns or {})


@contextmanager
def open_binary(name: str) -> Iterator[IO[bytes]]:
    """Open a path or URL; OSError if it cannot be read, ValueError if its protocol is unknown."""
    if not is_url(name):
        with Path(name).open("rb") as file:
            yield file
        return
    fsspec = require("fsspec", "remote", name)
    try:
        opened = fsspec.open(name, "rb")
    except (ImportError, ValueError) as err:  # no such protocol, or its package is missing
        raise ValueError(f"{name}: {err}; {REMOTE_CURE}") from err
    with opened as file:  # of a chain of URLs, `opened` holds the file system of the file
        yield file


def fetch_urls(items: Iterable[Item], at_once: int = FETCHES) -> Iterator[Item]:
    """Fetch the files behind URLs, `at_once` at a time, and keep the order of the items.

    Yields every item; a URL is replaced by the file's content, or by an error.
    """

    def result(item: Future[Item] | Item) -> Item:
        return item if isinstance(item, Item) else item.result()

    waiting: deque[Future[Item] | Item] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="fetch") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(_fetch, item) if isinstance(item.image, Url) else item)
                while waiting and (len(waiting) > at_once or isinstance(waiting[0], Item)):
                    yield result(waiting.popleft())
            while waiting:
                yield result(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(item: Item) -> Item:
    assert isinstance(item.image, Url)
    try:
        with open_binary(item.image.address) as file:
            return replace(item, image=Encoded(item.key, file.read()))
    except FileNotFoundError:
        return replace(item, image=None, error="no such file")
    except Exception as err:  # each protocol has its own errors
        return replace(item, image=None, error=f"cannot be fetched ({err or type(err).__name__})")
