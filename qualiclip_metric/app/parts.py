"""Parts of the app's page as HTML."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from qualiclip_metric.app.photos import SIDE, ScoredPhoto, difference
from qualiclip_metric.explanations.explanation import Explanation
from qualiclip_metric.explanations.overlay import overlay
from qualiclip_metric.pages.cards import templates
from qualiclip_metric.pages.explanation_card import legend
from qualiclip_metric.pages.pictures import data_uri

CSS = Path(__file__).with_name("app.css")
EMPTY = '<div class="qc-empty">{}</div>'


def photo_list(photos: Sequence[ScoredPhoto], order: Sequence[int], chosen: int | None) -> str:
    """Render a row per photo: thumbnail, name, likeliest fault, score; or the reason of a failure.

    `order` are positions in the order of the rows; `chosen` is that of the photo that is open.
    """
    return str(_macros().list(photos, order, chosen))


def one_photo(explained: Explanation) -> str:
    """Render a photo under its map, with score, diagnosis and profile."""
    panel = explained.panels[0]
    return str(_macros().one(explained, _pictures(explained), panel, legend(panel.colours)))


def two_photos(first: Explanation, second: Explanation) -> str:
    """Render two photos side by side, and the difference of scores, maps and profiles."""
    panel, change = first.panels[0], difference(first, second)
    drawn = None if change is None else data_uri(change, SIDE)
    pictures = [_pictures(first), _pictures(second)]
    return str(_macros().two(first, second, pictures, drawn, panel, legend(panel.colours)))


def _pictures(explained: Explanation) -> tuple[str, str]:
    """Encode the photo, and the photo under the map."""
    over = overlay(explained.photo, explained.maps[0], explained.panels[0].colours)
    return data_uri(explained.photo, SIDE), data_uri(over, SIDE)


@cache
def _macros() -> Any:
    environment = templates(Path(__file__).parent)
    environment.globals.update(zip=zip)
    return environment.get_template("app.html.j2").module
