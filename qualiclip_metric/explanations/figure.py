"""The figure of one explained image, as PNG.

Everything is laid out in inches. No pyplot, so no state is shared and no window is opened.
"""

import io
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from qualiclip_metric.explanations.explanation import Explanation, Panel
from qualiclip_metric.explanations.overlay import bar, overlay

DPI = 110
INK, FADED, ACCENT, MUTED, RULE = "#1a1a1a", "#666666", "#c0392b", "#8fa3b8", "#dddddd"

_MARGIN, _GAP = 0.3, 0.3
_HEADER, _FOOTER = 0.75, 0.3
_TITLE, _LEGEND = 0.28, 0.42  # above and below a picture
_BARE = 0.25  # of a legend's height that the photo, which has none, does not need
_LABELS, _BARS, _VALUES = 2.7, 2.0, 0.45  # widths of the profile's columns
_ROW = 0.36
_BETWEEN = 2  # rows between profile and diagnosis
_LETTERS = 38  # that fit into a label
_LEAST = 1.7  # width of a cell that its title needs


class _Cell(NamedTuple):
    """A picture's place, from the top left corner of the figure."""

    left: float
    top: float
    width: float
    height: float


def draw(explained: Explanation, footer: str = "") -> bytes:
    """Photo, maps with colour bars, score, probabilities of the antonym pairs, and diagnosis.

    Args:
        explained: What `explain_image` found.
        footer: One line in small print, such as the metric's signature.

    Returns:
        A PNG file.

    Raises:
        ImportError: When matplotlib is missing, with the cure.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as err:
        raise ImportError(
            "figures need matplotlib: pip install 'qualiclip-metric[explain]'"
        ) from err
    height, width = explained.photo.shape[:2]
    cells, right, bottom = _layout(width / height, 1 + len(explained.maps))
    rows = len(explained.pairs) + (len(explained.faults) + _BETWEEN if explained.faults else 0)
    profile = _ROW * rows + 0.6
    size = (
        right + _GAP + _LABELS + _BARS + _VALUES + _MARGIN,
        max(bottom, _HEADER + profile) + _FOOTER,
    )
    page = _Page(Figure(figsize=size, dpi=DPI, facecolor="white"), *size)
    page.text(_MARGIN, 0.36, _elided(explained.name, int(size[0] * 8)), size=12, weight="bold")
    page.text(_MARGIN, 0.6, f"score {explained.score:.4f}  (0 to 1, higher is better)", size=10)
    _picture(page, cells[0], explained.photo, "photo")
    for cell, panel, values in zip(cells[1:], explained.panels, explained.maps, strict=True):
        _picture(page, cell, overlay(explained.photo, values, panel.colours), panel.title)
        _legend(page, cell, panel)
    _profile(page, explained, right + _GAP)
    page.text(_MARGIN, size[1] - 0.12, _elided(footer, int(size[0] * 13)), size=7, color=FADED)
    out = io.BytesIO()
    with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        page.figure.savefig(out, format="png", dpi=DPI)
    return out.getvalue()


class _Page:
    """A figure that is measured in inches from its top left corner."""

    def __init__(self, figure: Any, width: float, height: float) -> None:
        self.figure, self.width, self.height = figure, width, height

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Plain text, its base line at y; dollars are dollars."""
        style.setdefault("color", INK)
        place = (x / self.width, 1 - y / self.height)
        self.figure.text(*place, text, parse_math=False, **style)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Axes without ticks or frame, their top left corner at (x, y)."""
        box = (x / self.width, 1 - (y + height) / self.height)
        axes = self.figure.add_axes((*box, width / self.width, height / self.height))
        axes.set_axis_off()
        return axes


def _layout(aspect: float, count: int) -> tuple[list[_Cell], float, float]:
    """Places of the pictures, and the right and lower end of them all.

    Wide pictures stand in a column, others in a row.
    """
    column = aspect > 1.9
    width = 6.0 if column else min(3.7, 4.4 * aspect)
    height = width / aspect
    cell_width, cell_height = max(width, _LEAST), _TITLE + height + _LEGEND
    cells = []
    for index in range(count):
        left = _MARGIN + (0 if column else index * (cell_width + _GAP))
        top = _HEADER + (index * cell_height - min(index, 1) * _BARE if column else 0) + _TITLE
        cells.append(_Cell(left + (cell_width - width) / 2, top, width, height))
    right = _MARGIN + (cell_width if column else count * (cell_width + _GAP) - _GAP)
    return cells, right, cells[-1].top + height + _LEGEND


def _picture(page: _Page, cell: _Cell, pixels: Any, title: str) -> None:
    middle = cell.left + cell.width / 2
    page.text(middle, cell.top - 0.07, title, size=9.5, ha="center")
    page.axes(*cell).imshow(pixels, aspect="auto", interpolation="bilinear")


def _legend(page: _Page, cell: _Cell, panel: Panel) -> None:
    width = max(cell.width, _LEAST)
    left, top = cell.left + (cell.width - width) / 2, cell.top + cell.height + 0.06
    page.axes(left, top, width, 0.1).imshow(bar(panel.colours), aspect="auto")
    page.text(left, top + 0.24, panel.low, size=8, color=FADED)
    page.text(left + width, top + 0.24, panel.high, size=8, color=FADED, ha="right")


def _profile(page: _Page, explained: Explanation, left: float) -> None:
    """Bars of the pairs' probabilities, and of the faults where there is a diagnosis."""
    start, top = left + _LABELS, _HEADER + 0.3
    rows = [(*row, False) for row in zip(explained.pairs, explained.probabilities, strict=True)]
    end = _bars(page, start, top, "probability of the good prompt", rows)
    if len(explained.asked) < len(explained.pairs):
        asked = ", ".join(explained.pairs[index] for index in explained.asked)
        page.text(start, end + 0.2, f"the maps ask: {_elided(asked, 44)}", size=8.5, ha="center")
    if explained.faults:
        below = end + _ROW * _BETWEEN
        _bars(page, start, below, f"likeliest: {explained.verdict}", explained.diagnosis)


def _bars(
    page: _Page, start: float, top: float, title: str, rows: Sequence[tuple[str, float, bool]]
) -> float:
    """A bar per name and probability, in red where it is marked; where the last one ends."""
    page.text(start, top - 0.15, title, size=9.5, ha="center")
    axes = page.axes(start, top, _BARS, _ROW * len(rows))
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
    axes.vlines((0, 0.5, 1), -0.5, len(rows) - 0.5, color=RULE, linewidth=0.8, zorder=0)
    for row, (name, value, marked) in enumerate(rows):
        colour, weight = (ACCENT, "bold") if marked else (MUTED, "normal")
        axes.barh(row, value, height=0.55, color=colour)
        base = top + _ROW * (row + 0.5) + 0.05
        label = _elided(name, _LETTERS)
        page.text(start - 0.1, base, label, size=9, weight=weight, ha="right")
        page.text(start + _BARS + 0.08, base, f"{value:.2f}", size=9, weight=weight)
    return top + _ROW * len(rows)


def _elided(text: str, letters: int) -> str:
    """The text, its middle left out where it is too long."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
