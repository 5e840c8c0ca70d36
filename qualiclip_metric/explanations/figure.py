"""The figure of one explained image, as PNG. No pyplot: no shared state, no window."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

from qualiclip_metric.explanations.explanation import Bar, Explanation, Panel
from qualiclip_metric.explanations.overlay import bar, overlay
from qualiclip_metric.extras import require

DPI = 110
INK, FADED, ACCENT, MUTED, RULE = "#1a1a1a", "#666666", "#c0392b", "#8fa3b8", "#dddddd"
WIDE = 1.9
"""Photos of a larger width over height stand in a column, others in a row."""
ROW = 0.33
"""Height of a bar's row, inches."""
PAD, BARS_WIDTH, NARROWEST = 0.2, 5.2, 1.9
"""Between pictures; names, bars and values together; a picture with its title. Inches."""


def draw(explained: Explanation, footer: str = "") -> bytes:
    """Draw a PNG of photo, maps with legends, score, probabilities of the pairs, and diagnosis.

    The footer is one line in small print, such as the metric's signature.
    """
    require("matplotlib", "explain", "figures")
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    height, width = explained.photo.shape[:2]
    aspect, count = width / height, 1 + len(explained.maps)
    rows, columns = (count, 1) if aspect > WIDE else (1, count)
    cell_width = 6.0 if aspect > WIDE else max(NARROWEST, min(3.7, 4.4 * aspect))
    pictures_width = columns * (cell_width + PAD)
    pictures_height = rows * (cell_width / aspect + 0.75)  # with title and legend
    tables = [("probability of the good prompt", explained.profile)]
    if explained.faults:
        tables.append((f"likeliest: {explained.verdict}", explained.diagnosis))
    bars = [ROW * len(table) + 0.5 for _, table in tables]
    body = max(pictures_height, sum(bars))
    size = (pictures_width + BARS_WIDTH, body + 1.1)
    spacing = ConstrainedLayoutEngine(w_pad=PAD / 2, h_pad=PAD / 2)
    figure = Figure(figsize=size, dpi=DPI, layout=spacing, facecolor="white")
    parts: Any = figure.subfigures(1, 2, width_ratios=(pictures_width, BARS_WIDTH))
    left, right = parts
    cells = left.subplots(rows, columns, squeeze=False).flat
    _show(next(cells), explained.photo, "photo")
    for axes, panel, values in zip(cells, explained.panels, explained.maps, strict=True):
        _show(axes, overlay(explained.photo, values, panel.colours), panel.title)
        _legend(axes, panel, cell_width / aspect)
    heights = [
        *bars,
        max(0.01, body - sum(bars)),
    ]  # the rest is empty, so that bars are not drawn out
    charts = right.subplots(len(heights), 1, height_ratios=heights)
    charts[-1].set_axis_off()
    for axes, (title, table) in zip(charts, tables, strict=False):
        _bars(axes, title, table)
    if asked := ", ".join(explained.asked_pairs):
        charts[0].set_xlabel(f"the maps ask: {_elided(asked, 44)}", fontsize=8.5, parse_math=False)
    at_left = {"x": PAD / 2 / size[0], "ha": "left", "parse_math": False}
    place = f" ({explained.place})" if explained.place else ""
    name = _elided(explained.name, max(12, int(size[0] * 8) - len(place)))
    figure.suptitle(
        f"{explained.score:.4f}{place}  {name}", fontsize=13, color=INK, weight="bold", **at_left
    )
    footer = f"Score from 0 to 1, higher is better. {footer}"
    figure.supxlabel(_elided(footer, int(size[0] * 13)), fontsize=7, color=FADED, **at_left)
    out = io.BytesIO()
    with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(out, format="png", dpi=DPI, bbox_inches="tight", pad_inches=PAD)
    return out.getvalue()


def _show(axes: Any, pixels: Any, title: str) -> None:
    axes.set_axis_off()
    axes.set_anchor("N")
    axes.set_title(title, fontsize=9.5, color=INK)
    axes.imshow(pixels, interpolation="bilinear")


def _legend(axes: Any, panel: Panel, height: float) -> None:
    """Draw the colours from 0 to 1 and their meaning under a map, `height` inches high."""
    strip = axes.inset_axes((0, -0.16 / height, 1, 0.1 / height))
    strip.imshow(bar(panel.colours), aspect="auto", extent=(0, 1, 0, 1))
    strip.set_yticks(())
    strip.set_xticks((0, 1), (panel.low, panel.high), fontsize=8, color=FADED)
    strip.tick_params(length=0)
    strip.spines[:].set_visible(False)
    for label, side in zip(strip.get_xticklabels(), ("left", "right"), strict=True):
        label.set_horizontalalignment(side)


def _bars(axes: Any, title: str, rows: Sequence[Bar]) -> None:
    """Draw a bar per name and value, in red where it is marked."""
    names, values, marks = zip(*rows, strict=True)
    places = range(len(rows))
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    axes.vlines((0, 0.5, 1), -0.5, len(rows) - 0.5, color=RULE, linewidth=0.8, zorder=0)
    drawn = axes.barh(places, values, 0.55, color=[ACCENT if mark else MUTED for mark in marks])
    labels = axes.bar_label(drawn, [f"{value:.2f}" for value in values], padding=4, fontsize=9)
    axes.set_yticks(places, [_elided(name, 38) for name in names], fontsize=9, parse_math=False)
    for mark, *texts in zip(marks, labels, axes.get_yticklabels(), strict=True):
        for text in texts:
            text.set(color=INK, weight="bold" if mark else "normal")
    axes.set(xlim=(0, 1.15), ylim=(len(rows) - 0.5, -0.5), xticks=())
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _elided(text: str, letters: int) -> str:
    """Leave out the middle of a text that is too long."""
    if len(text) <= letters:
        return text
    half = (letters - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
