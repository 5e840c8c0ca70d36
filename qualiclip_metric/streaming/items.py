"""What is to be scored, one image after the other: a key, where the image is, its columns."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, TypeVar

from qualiclip_metric.decoding import Encoded

SCALE_CURE = "pip install 'qualiclip-metric[scale]'"
REMOTE_CURE = "pip install 'qualiclip-metric[remote]' has what URLs need"
FETCHES = 16
"""Files behind URLs that are fetched at once, unless told."""
_POLL_SECONDS = 0.2
_JOIN_SECONDS = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class Url:
    """An image file that has to be fetched first."""

    address: str


@dataclass(frozen=True)
class Item:
    """An image that is to be scored.

    Args:
        key: What tells it from all others: its path or URL as it was given, or its place within a
            shard or table, as in `shard-000.tar/a.jpg` and `photos.parquet#7`.
        image: Where it is; None where it cannot be had, for which `error` has the reason.
        columns: Columns of a table that go with it.
        error: One line on why there is no image.
    """

    key: str
    image: Path | Encoded | Url | None
    columns: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def is_url(name: str) -> bool:
    """Whether a name is that of something behind fsspec, not a path."""
    return "://" in name


def item_for(name: str, root: str = "", columns: Mapping[str, Any] | None = None) -> Item:
    """The item of a path or URL out of a list or a table.

    Args:
        name: As it is written there; this becomes the key.
        root: Folder or URL that relative paths are below; the current folder if empty.
        columns: Columns that go with it.
    """
    place = name if is_url(name) or Path(name).is_absolute() or not root else f"{root}/{name}"
    return Item(name, Url(place) if is_url(place) else Path(place), columns or {})


def opened(name: str) -> IO[bytes]:
    """Open a file for reading.

    Args:
        name: Path, or URL that fsspec knows.

    Raises:
        OSError: Where it cannot be read.
        ValueError: When a package for the URL is missing.
    """
    if not is_url(name):
        return Path(name).open("rb")
    import fsspec

    try:
        file: IO[bytes] = fsspec.open(name, "rb").open()
    except (ImportError, ValueError) as err:  # of a protocol without its package, or none
        raise ValueError(f"{name}: {err}; {REMOTE_CURE}") from err
    return file


def fetched(items: Iterable[Item], at_once: int = FETCHES) -> Iterator[Item]:
    """Fetch the files behind URLs, several at once, in the order of the items.

    Args:
        items: Read no further ahead than is fetched.
        at_once: Most files that are fetched, or wait for their turn in the order.

    Yields:
        Every item, URLs replaced by the file's content, or by the reason why there is none.
    """
    waiting: deque[Item | Future[Item]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="fetch") as pool:
        try:
            for item in items:
                remote = isinstance(item.image, Url)
                waiting.append(pool.submit(_fetch, item) if remote else item)
                while waiting and (len(waiting) > at_once or isinstance(waiting[0], Item)):
                    yield _arrived(waiting.popleft())
            while waiting:
                yield _arrived(waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _arrived(item: "Item | Future[Item]") -> Item:
    return item if isinstance(item, Item) else item.result()


def _fetch(item: Item) -> Item:
    assert isinstance(item.image, Url)
    try:
        with opened(item.image.address) as file:
            return replace(item, image=Encoded(item.key, file.read()))
    except FileNotFoundError:
        return replace(item, image=None, error="no such file")
    except Exception as err:  # every protocol has errors of its own
        return replace(item, image=None, error=f"cannot be fetched ({err or type(err).__name__})")


def in_background(
    values: Iterable[T], ahead: int, stopped: Callable[[], bool] = lambda: False
) -> Generator[T, None, None]:
    """Iterate in a thread, some values ahead of their use.

    Args:
        values: What it raises is raised here.
        ahead: Most values that wait.
        stopped: Asked while nothing comes; where it says so, that is the end.

    Yields:
        The values.
    """
    ready: queue.Queue[tuple[str, Any]] = queue.Queue(ahead)
    closed = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not closed.is_set():
            try:
                ready.put((kind, value), timeout=_POLL_SECONDS)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for value in values:
                if not put("value", value):
                    return
            put("end", None)
        except BaseException as err:
            put("error", err)
        finally:
            if isinstance(values, Generator):
                values.close()

    thread = threading.Thread(target=work, name="listing", daemon=True)
    thread.start()
    try:
        while True:
            try:
                kind, value = ready.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                if stopped():
                    return
                continue
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        closed.set()
        thread.join(_JOIN_SECONDS)  # it may wait for ever for standard input
