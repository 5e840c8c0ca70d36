"""A played competition as tables: pairs.csv, and the matrices and rankings of matrices.json.

Knows data frames of pairs and preferences. Must not know HTML, images or the command line.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.gmad.competition import Design, Pair, compete
from benchmarks.gmad.matrices import (
    Cells,
    GlobalRanking,
    aggressiveness,
    mean_by_cell,
    rank_matrix,
    resample,
    resistance,
)
from benchmarks.gmad.pool import Pool
from benchmarks.gmad.scale import Labelled, to_common_scale

__all__ = ["COLUMNS", "Outcome", "mos_preference", "play", "ranking_text", "summarise"]

Floats = NDArray[np.float64]

COLUMNS = [
    "attacker",
    "defender",
    "level",
    "centre",
    "population",
    "best",
    "worst",
    "gap",
    "mos_best",
    "mos_worst",
]


@dataclass(frozen=True)
class Outcome:
    """A played competition: the pool, the settings, the pairs and the common scale's values."""

    pool: Pool
    design: Design
    scale: str
    distinct: str
    pairs: list[Pair]
    scores: Floats

    def table(self) -> pd.DataFrame:
        """The pairs with names, as pairs.csv holds them; blanks where a bin gives no pair."""
        metrics, images, mos = self.pool.metrics, self.pool.images, self.pool.mos
        rows = [
            {
                "attacker": metrics[p.attacker],
                "defender": metrics[p.defender],
                "level": p.level,
                "centre": p.centre,
                "population": p.population,
                "best": images[p.best] if p.best >= 0 else "",
                "worst": images[p.worst] if p.worst >= 0 else "",
                "gap": p.gap,
                "mos_best": mos[p.best] if p.best >= 0 and len(mos) else np.nan,
                "mos_worst": mos[p.worst] if p.worst >= 0 and len(mos) else np.nan,
            }
            for p in self.pairs
        ]
        return pd.DataFrame(rows, columns=COLUMNS)


def play(
    pool: Pool,
    design: Design,
    scale: str,
    *,
    labelled: Labelled | None = None,
    contents: Sequence[object] | None = None,
    distinct: str = "none",
) -> Outcome:
    """Bring the pool onto the common scale and let every metric attack every other.

    Args:
        pool: Images and scores.
        design: Levels, width, pairs per bin, smallest gap.
        scale: ``rank`` or ``logistic``.
        labelled: What the logistic is fitted on; the pool's own labelled images when absent.
        contents: One content key per image for distinct contents only.
        distinct: How the contents were told apart, for the record.
    """
    scores = to_common_scale(scale, pool.scores, pool.metrics, labelled or pool.labelled)
    groups = None if contents is None else pd.factorize(pd.Series(list(contents)))[0]
    return Outcome(pool, design, scale, distinct, compete(scores, design, groups), scores)


def summarise(
    table: pd.DataFrame,
    metrics: list[str],
    preference: Floats | None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Matrices and rankings of a pairs table, ready for JSON (NaN becomes null).

    Args:
        table: Rows as in pairs.csv.
        metrics: Names in the order of the matrices' rows and columns.
        preference: ``(rows,)`` signed preference in -100..100 for each row's best image, NaN where
            unknown. Absent: nobody preferred anything, and only the attack gap is given.
        resamples: Bootstrap resamples of the pairs.
        seed: Seed of the bootstrap.
    """
    index = {name: number for number, name in enumerate(metrics)}
    attacker = np.asarray(table["attacker"].map(index), dtype=np.int64)
    defender = np.asarray(table["defender"].map(index), dtype=np.int64)
    gap = table["gap"].to_numpy(float)
    in_bin = table.groupby(["attacker", "defender", "level"])["level"].transform("size")
    weight = table["population"].to_numpy(float) / in_bin.to_numpy(float)
    cells = Cells(attacker, defender, weight, len(metrics))
    paired = np.isfinite(gap)
    summary: dict[str, Any] = {
        "metrics": metrics,
        "bins": _bins(table),
        "attack_gap": _plain(mean_by_cell(cells.keep(paired), gap[paired])[0]),
    }
    if preference is None:
        return summary
    voted = paired & np.isfinite(preference)
    cells, votes = cells.keep(voted), preference[voted]
    counts = resample(cells, resamples, np.random.default_rng(seed))
    summary |= {"pairs_with_preference": int(voted.sum()), "resamples": resamples, "seed": seed}
    for name, matrix in (("aggressiveness", aggressiveness), ("resistance", resistance)):
        point = matrix(cells, votes)[0]
        summary[name] = _plain(point)
        summary[f"{name}_ranking"] = (
            _ranking(metrics, rank_matrix(point, matrix(cells, votes, counts)))
            if voted.any()
            else {"method": "not ranked: no pair has a preference", "rows": []}
        )
    return summary


def mos_preference(table: pd.DataFrame, mos: Floats) -> Floats | None:
    """MOS difference of each pair in percent of the pool's MOS range; None without any MOS."""
    known = mos[np.isfinite(mos)]
    if not len(known) or np.ptp(known) == 0:
        return None
    difference = table["mos_best"].to_numpy(float) - table["mos_worst"].to_numpy(float)
    preference: Floats = 100 * difference / np.ptp(known)
    return preference


def ranking_text(name: str, ranking: dict[str, Any]) -> str:
    """A ranking as lines for people.

    Args:
        name: What is ranked, such as ``aggressiveness``.
        ranking: The ranking, as :func:`summarise` gives it.

    Returns:
        The method, then one line per metric: rank, score, its 95% interval, name.
    """
    lines = [f"{name} ({ranking['method']}):"]
    for row in ranking["rows"]:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append(f"  {row['rank']:2d}  {row['score']:+.3f} {interval}  {row['metric']}")
    return "\n".join(lines)


def _bins(table: pd.DataFrame) -> dict[str, int]:
    """How many bins were asked for, and what became of them."""
    bins = table.groupby(["attacker", "defender", "level"], sort=False)
    population, paired = bins["population"].first(), bins["gap"].count() > 0
    return {
        "asked": len(population),
        "paired": int(paired.sum()),
        "empty": int((population == 0).sum()),
        "single_image": int((population == 1).sum()),
        "no_pair_allowed": int(((population > 1) & ~paired).sum()),
    }


def _plain(matrix: Floats) -> list[list[float | None]]:
    return [[round(float(v), 6) if np.isfinite(v) else None for v in row] for row in matrix]


def _ranking(metrics: list[str], ranking: GlobalRanking) -> dict[str, Any]:
    order = np.argsort(-ranking.score, kind="stable")
    return {
        "method": "Thurstone Case V, maximum likelihood"
        + ("" if ranking.finite else "; no finite maximum, so with a weak Gaussian prior"),
        "finite_maximum": ranking.finite,
        "bootstrap_share_with_finite_maximum": round(ranking.finite_share, 6),
        "rows": [
            {
                "rank": place,
                "metric": metrics[i],
                "score": round(float(ranking.score[i]), 6),
                "low": round(float(ranking.low[i]), 6),
                "high": round(float(ranking.high[i]), 6),
            }
            for place, i in enumerate(order, start=1)
        ],
    }
