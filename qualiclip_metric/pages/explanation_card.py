"""The card of an explained image, which opens to show maps, profile and diagnosis."""

from functools import cache
from typing import Any

from qualiclip_metric.explanations.explanation import Explanation
from qualiclip_metric.explanations.overlay import bar, overlay
from qualiclip_metric.pages.cards import Card, templates
from qualiclip_metric.pages.pictures import THUMBNAIL, data_uri

PICTURE = 420
"""Longer side of an opened picture, px. A card takes about 80 kB of the page."""


def explanation_card(explained: Explanation) -> Card:
    """Render an explained image as a card: photo, maps with legends, profile and diagnosis."""
    maps = [
        (
            panel,
            data_uri(overlay(explained.photo, values, panel.colours), PICTURE),
            legend(panel.colours),
        )
        for panel, values in zip(explained.panels, explained.maps, strict=True)
    ]
    details = _templates().details(explained, data_uri(explained.photo, PICTURE), maps)
    thumbnail = data_uri(explained.photo, THUMBNAIL)
    badge = " · ".join(filter(None, (explained.place, explained.verdict)))
    return Card(explained.name, explained.score, thumbnail, badge, details)


@cache
def legend(colours: str) -> str:
    """Draw the colours of a map from 0 to 1 as a data URI."""
    return data_uri(bar(colours), 256, "PNG")


@cache
def _templates() -> Any:
    return templates().get_template("explanation_card.html.j2").module
