"""The result of a competition: pairs.csv, and the matrices and rankings of matrices.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.datasets.labels import read_csv
from benchmarks.formatting import without_nan
from benchmarks.gmad.competition import Design, Pair, select_pairs
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
from benchmarks.stats import FloatArray

__all__ = [
    "COLUMNS",
    "GmadResult",
    "mos_preference",
    "ranking_text",
    "read_pairs",
    "run_competition",
    "summarise",
]


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
class GmadResult:
    """The pairs of a competition, and what they were selected from."""

    pool: Pool
    design: Design
    scale: str  # common scale, ``rank`` or ``logistic``
    distinct: str  # how contents were kept apart: ``none``, ``reference`` or ``hash``
    pairs: list[Pair]  # one or more rows per attacker, defender and level
    scores: FloatArray  # ``(n, m)`` scores on the common scale

    def pairs_table(self) -> pd.DataFrame:
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


def run_competition(
    pool: Pool,
    design: Design,
    scale: str,
    *,
    labelled: Labelled | None = None,
    contents: Sequence[object] | None = None,
    distinct: str = "none",
) -> GmadResult:
    """Bring the pool onto the common scale and select the pairs of every two metrics.

    The logistic is fitted on ``labelled`` (default: the pool's own labelled images); ``contents``
    has one key per image, for distinct contents only, and ``distinct`` records how they were found.
    """
    scores = to_common_scale(scale, pool.scores, pool.metrics, labelled or pool.labelled)
    groups = None if contents is None else pd.factorize(pd.Series(list(contents)))[0]
    pairs = select_pairs(scores, design, groups)
    return GmadResult(pool, design, scale, distinct, pairs, scores)


def summarise(
    table: pd.DataFrame,
    metrics: list[str],
    preference: FloatArray | None,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Matrices and rankings of a pairs table, ready for JSON (NaN becomes null).

    ``preference`` ``(rows,)`` is in -100..100 for each row's best image, NaN where unknown; without
    it only the attack gap is given. Intervals are from a bootstrap of the pairs.
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
        "attack_gap": _json_matrix(mean_by_cell(cells.keep(paired), gap[paired])[0]),
    }
    if preference is None:
        return summary
    voted = paired & np.isfinite(preference)
    cells, votes = cells.keep(voted), preference[voted]
    counts = resample(cells, resamples, np.random.default_rng(seed))
    summary |= {"pairs_with_preference": int(voted.sum()), "resamples": resamples, "seed": seed}
    for name, matrix in (("aggressiveness", aggressiveness), ("resistance", resistance)):
        point = matrix(cells, votes)[0]
        summary[name] = _json_matrix(point)
        summary[f"{name}_ranking"] = (
            _ranking(metrics, rank_matrix(point, matrix(cells, votes, counts)))
            if voted.any()
            else {"method": "not ranked: no pair has a preference", "rows": []}
        )
    return summary


def read_pairs(path: Path) -> pd.DataFrame:
    """Read a ``pairs.csv`` and check its columns."""
    text = dict.fromkeys(("attacker", "defender", "best", "worst"), str)
    columns = [*text, "level", "population", "gap"]
    return read_csv(path, columns, dtype=text, keep_default_na=False, na_values={"gap": [""]})


def mos_preference(table: pd.DataFrame, mos: FloatArray) -> FloatArray | None:
    """MOS difference of each pair in percent of the MOS range, in place of a preference."""
    known = mos[np.isfinite(mos)]
    if not len(known) or np.ptp(known) == 0:
        return None
    difference = table["mos_best"].to_numpy(float) - table["mos_worst"].to_numpy(float)
    preference: FloatArray = 100 * difference / np.ptp(known)
    return preference


def ranking_text(name: str, ranking: dict[str, Any]) -> str:
    """Write a ranking: the method, then per metric its rank, score, 95% interval and name."""
    lines = [f"{name} ({ranking['method']}):"]
    for row in ranking["rows"]:
        interval = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
        lines.append(f"  {row['rank']:2d}  {row['score']:+.3f} {interval}  {row['metric']}")
    return "\n".join(lines)


def _bins(table: pd.DataFrame) -> dict[str, int]:
    """Number of bins by what became of them."""
    bins = table.groupby(["attacker", "defender", "level"], sort=False)
    population, paired = bins["population"].first(), bins["gap"].count() > 0
    return {
        "asked": len(population),
        "paired": int(paired.sum()),
        "empty": int((population == 0).sum()),
        "single_image": int((population == 1).sum()),
        "no_pair_allowed": int(((population > 1) & ~paired).sum()),
    }


def _json_matrix(matrix: FloatArray) -> Any:
    return without_nan(matrix.round(6).tolist())


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
