"""Figures as text: numbers in the field's style, Markdown tables, JSON without NaN."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qualiclip_metric.files import write_text


def is_number(value: object) -> bool:
    """Return whether a cell holds a finite number."""
    return isinstance(value, int | float) and math.isfinite(value)


def number(value: Any, digits: int = 3) -> str:
    """Write a figure in the field's style: ``.817``, ``-.020``, ``1.000``; an en dash for none."""
    if not isinstance(value, (int, float)) or math.isnan(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 and text.lstrip("-") != "0" else text


def with_interval(value: Any, low: Any, high: Any, digits: int = 3) -> str:
    """Write a figure and its interval: ``.817 [.790, .840]``; without one, ``.817``."""
    if not (is_number(low) and is_number(high)):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """Write a Markdown table; bars and line breaks in cells are escaped.

    The first ``text_columns`` columns are aligned left, the others right.
    """
    rule = ["---" if i < text_columns else "---:" for i in range(len(header))]
    lines = [header, rule, *rows]
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells) + "\n"


def without_nan(value: Any) -> Any:
    """Copy a structure with None in place of NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_json(path: Path, value: object) -> None:
    """Write indented JSON, whole or not at all; NaN and infinities become null."""
    write_text(path, json.dumps(without_nan(value), indent=1, allow_nan=False) + "\n")
