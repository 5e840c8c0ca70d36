"""Parts of the page as HTML."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from qualiclip_metric.explanations.explanation import Explanation
from qualiclip_metric.explanations.overlay import bar, overlay
from qualiclip_metric.page.photos import SIDE, Map, Photo, difference
from qualiclip_metric.sheets.cards import templates
from qualiclip_metric.sheets.pictures import data_uri

TEMPLATE = "page.html.j2"
CSS = Path(__file__).with_name("page.css")
EMPTY = '<div class="qc-empty">{}</div>'


def photo_list(photos: Sequence[Photo], order: Sequence[int], chosen: int | None) -> str:
    """A row per photo: thumbnail, name, likeliest fault, score; or the reason of a failure.

    Args:
        photos: All of them.
        order: Positions in the order of the rows.
        chosen: Position of the photo that is open.
    """
    return str(_macros().list(photos, order, chosen))


def one_photo(explained: Explanation, photo: Photo, shown: Map) -> str:
    """A photo under its map, its score, diagnosis and profile.

    Args:
        explained: The photo, explained.
        photo: The same photo, scored.
        shown: Which map.
    """
    panel = explained.panels[shown.panel]
    picture, over = _pictures(explained, shown)
    return str(_macros().one(explained, photo, picture, over, panel, _legend(panel.colours)))


def two_photos(first: Explanation, second: Explanation, shown: Map) -> str:
    """Two photos side by side, and the difference of scores, maps and profiles.

    Args:
        first: A photo, explained.
        second: Another one, with the same maps.
        shown: Which map; one in units of the score.
    """
    panel = first.panels[shown.panel]
    pictures, overlays = zip(*(_pictures(one, shown) for one in (first, second)), strict=True)
    change = difference(first, second, shown.panel)
    drawn = None if change is None else data_uri(change, SIDE)
    made = _macros().two(first, second, pictures, overlays, drawn, panel, _legend(panel.colours))
    return str(made)


def _pictures(explained: Explanation, shown: Map) -> tuple[str, str]:
    """The photo, and the photo under the map."""
    over = overlay(
        explained.photo, explained.maps[shown.panel], explained.panels[shown.panel].colours
    )
    return data_uri(explained.photo, SIDE), data_uri(over, SIDE)


def _profile(explained: Explanation) -> list[tuple[str, float]]:
    return list(zip(explained.pairs, explained.probabilities, strict=True))


@cache
def _legend(colours: str) -> str:
    return data_uri(bar(colours), 256, "PNG")


@cache
def _macros() -> Any:
    environment = templates(Path(__file__).parent)
    environment.globals.update(profile=_profile, zip=zip)
    return environment.get_template(TEMPLATE).module
