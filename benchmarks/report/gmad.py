"""gMAD on one data set, as the report shows it."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.gmad.competition import Design
from benchmarks.gmad.pool import pool_from_results
from benchmarks.gmad.result import mos_preference, run_competition, summarise
from benchmarks.report.agreement import json_numbers

__all__ = ["gmad_panel"]


def gmad_panel(
    table: pd.DataFrame, name: str, *, opinions: bool, resamples: int, seed: int
) -> dict[str, Any]:
    """Compute pairs, matrices and rankings on the rank scale, by image number of ``table``.

    ``reason`` stands alone where the panel cannot be computed. Without people's ``opinions`` only
    the attack gap is given.
    """
    try:
        return _panel(table, name, opinions=opinions, resamples=resamples, seed=seed)
    except (ValueError, ArithmeticError) as err:  # one panel must not cost the page
        reason = str(err)
        return {"reason": reason if name in reason else f"{name}: {reason}"}


def _panel(
    table: pd.DataFrame, name: str, *, opinions: bool, resamples: int, seed: int
) -> dict[str, Any]:
    pool = pool_from_results(table, source=name)
    design = Design()
    result = run_competition(pool, design, "rank")
    rows = result.pairs_table()
    row_of = {image: i for i, image in enumerate(table["image"].astype(str))}
    preference = mos_preference(rows, pool.mos) if opinions else None
    table_row = np.array([*(row_of[image] for image in pool.images), -1])
    return {
        "scale": "rank (percentile)",
        "levels": design.levels,
        "width": design.width,
        "images": len(pool.images),
        "left_out": pool.dropped,
        "pairs": [
            [
                *(pair.attacker, pair.defender, pair.level),
                *json_numbers(np.array([pair.centre]), 4),
                pair.population,
                *(int(table_row[pair.best]), int(table_row[pair.worst])),
                *json_numbers(np.array([pair.gap]), 4),
            ]
            for pair in result.pairs
        ],
        **summarise(rows, pool.metrics, preference, resamples=resamples, seed=seed),
    }
