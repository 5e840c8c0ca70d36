"""The page on which people vote on gMAD's pairs."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["GRADES", "VOTE_COLUMNS", "design_study", "study_page"]

TEMPLATES = Path(__file__).parent / "templates"
GRADES = [
    (-100, "Left is better"),
    (-50, "Left, slightly"),
    (0, "The same"),
    (50, "Right, slightly"),
    (100, "Right is better"),
]
"""Preference for the right image over the left in -100..100, and the button's text."""
VOTE_COLUMNS = [
    *("study", "observer", "session", "trial", "attacker", "defender", "level", "population"),
    *("gap", "best", "worst", "best_side", "preference", "seconds"),
]
"""Columns of the exported votes: one row per vote and per competition cell that it answers."""


def design_study(pairs: pd.DataFrame, seed: int, limit: int | None = None) -> dict[str, Any]:
    """Design a study: each pair of images once, with the competition's cells that it answers.

    Rows without a pair are left out; ``limit`` keeps the rows with the widest gaps. ``seed`` (of
    the order and the sides) is stored in the page.
    """
    shown = pairs[np.isfinite(pairs["gap"]) & (pairs["best"] != pairs["worst"])]
    if shown.empty:
        raise ValueError("no row of the pairs table has two images: there is nothing to vote on")
    if limit is not None:
        shown = shown.sort_values("gap", ascending=False, kind="stable").head(limit).sort_index()
    names = sorted({*shown["best"], *shown["worst"]})
    number = {name: i for i, name in enumerate(names)}
    trials: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for row in shown.to_dict("records"):
        best, worst = number[row["best"]], number[row["worst"]]
        cell = {key: row[key] for key in ("attacker", "defender", "level", "population", "gap")}
        key = (min(best, worst), max(best, worst))
        trials.setdefault(key, []).append({**cell, "best": int(best > worst)})
    digest = hashlib.sha256(f"{seed}\n{shown.to_csv(index=False)}".encode())
    return {
        "seed": seed,
        "study": digest.hexdigest()[:12],
        "images": names,
        "trials": [{"images": key, "cells": cells} for key, cells in sorted(trials.items())],
    }


def study_page(
    design: dict[str, Any], file_of: Callable[[str], Path], side: int, title: str
) -> str:
    """Write the self-contained page; images over ``side`` pixels are shrunk without loss."""
    from benchmarks.html import original, render  # torch reads images; votes do not need it

    pictures = [original(file_of(name), side) for name in design["images"]]
    data = {**design, "pictures": pictures, "grades": GRADES, "columns": VOTE_COLUMNS}
    return render(TEMPLATES, "page.html.j2", title=title, data=data, trials=len(design["trials"]))
