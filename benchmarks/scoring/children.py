"""Child processes that must not outlive their parent, and that can be ended whatever they do."""

import os
import threading
import time
from collections.abc import Iterable
from multiprocessing.process import BaseProcess

__all__ = ["end_with_parent", "kill"]


def end_with_parent(parent: int) -> None:
    """Make this process leave as soon as its parent is gone.

    Args:
        parent: The parent's process id, as the parent knows it.
    """
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def kill(children: Iterable[BaseProcess]) -> None:
    """End processes at once, and wait until they are gone."""
    ending = list(children)
    for child in ending:
        child.kill()
    for child in ending:
        child.join()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
