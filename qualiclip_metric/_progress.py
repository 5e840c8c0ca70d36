"""A progress bar for bytes, on stderr. Knows nothing of what is fetched."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

from qualiclip_metric._download import Report


@contextmanager
def bytes_bar(label: str) -> Iterator[Report]:
    """Yield the function that moves the bar."""
    columns = ("{task.description}", BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
