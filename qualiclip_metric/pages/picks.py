"""The page of `qualiclip pick --html`: groups of photos side by side, the best of each framed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qualiclip_metric.files import atomic_write
from qualiclip_metric.pages.cards import Card, CardPage
from qualiclip_metric.pages.pictures import thumbnail_if_readable
from qualiclip_metric.scoring.picks import Pick

SIDE = 320
"""Longer side of a thumbnail, px: blur has to be seen."""


def write_pick_page(path: Path, picks: Sequence[Pick], folder: Path, signature: str) -> None:
    """Write the page; photos without a near duplicate are counted and not shown.

    Args:
        path: File to write.
        picks: As `pick_rows` gives them; each photo that is shown is read again.
        folder: Names on the page are relative to it.
        signature: Of the metric.

    Raises:
        ImportError: When Jinja2 is missing, with the cure.
        OSError: If the file cannot be written.
    """
    sizes = Counter(one.group for one in picks)
    alone = sum(one.group is not None and sizes[one.group] == 1 for one in picks)
    with CardPage(path.parent) as page:
        for one in picks:
            name = str(Path(one.path).relative_to(folder))
            if one.group is None or one.score is None:
                page.add_failure(name, one.reason)
            elif sizes[one.group] > 1:
                badge = f"best: {one.reason}" if one.best else one.reason
                picture = thumbnail_if_readable(one.path, SIDE)
                page.add(Card(name, one.score, picture, badge, group=one.group))
        hint = f"The arrow keys go from group to group. Photos without a near duplicate: {alone}."
        with atomic_write(path) as scratch:
            page.write(scratch, title="The best of each burst", signature=signature, hint=hint)
