"""Votes of a study -> screened observers -> mean preference of each pair.

Knows vote tables. Must not know images, pages or rankings.

Reference: ITU-R BT.500-15, Annex 1, section A1-2.3.1 (screening of observers).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.study.page import VOTE_COLUMNS

__all__ = ["FEWEST_OBSERVERS", "mean_preference", "read_votes", "screen"]

#: BT.500: an observer goes when more than this share of the votes lies far out ...
FAR_SHARE = 0.05
#: ... on both sides alike: |high - low| / (high + low) below this.
BALANCE = 0.3
#: Far out is 2 standard deviations where the votes' kurtosis lies in this range, else sqrt(20).
NORMAL_KURTOSIS = (2.0, 4.0)
#: Of n votes none can lie further than (n - 1) / sqrt(n) standard deviations from their mean:
#: below 6 observers nobody can be 2 away, and nobody is screened.
FEWEST_OBSERVERS = 6

CELL = ["attacker", "defender", "level", "best", "worst"]


def read_votes(paths: Sequence[Path]) -> pd.DataFrame:
    """The votes of one study from the csv files its page exported.

    Raises:
        ValueError: For other columns, several studies, preferences outside -100..100, or an
            observer's name that stands for two different votes on a pair.
    """
    text = dict.fromkeys(("study", "observer", "attacker", "defender", "best", "worst"), str)
    tables = []
    for path in paths:
        try:
            table = pd.read_csv(path, dtype=text, keep_default_na=False)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: expected a csv of votes, got: {error}") from error
        if missing := [name for name in VOTE_COLUMNS if name not in table]:
            raise ValueError(f"{path}: no vote columns {', '.join(missing)}: is it a study's csv?")
        table["preference"] = pd.to_numeric(table["preference"], errors="coerce")
        if not table["preference"].between(-100, 100).all():
            raise ValueError(f"{path}: expected preferences in -100..100")
        tables.append(table)
    votes = pd.concat(tables, ignore_index=True)
    if votes.empty:
        raise ValueError("no votes in these files")
    if (studies := votes["study"].nunique()) > 1:
        raise ValueError(f"votes of {studies} studies: rank each study by itself")
    votes = votes.drop_duplicates(["observer", *CELL, "preference"])  # A file named twice.
    if (twice := votes.duplicated(["observer", *CELL])).any():
        name = votes.loc[twice, "observer"].iloc[0]
        raise ValueError(
            f"observer {name!r} voted twice and differently on a pair: if these are two people, "
            "rename one of them in the observer column"
        )
    return votes


def screen(votes: pd.DataFrame) -> pd.DataFrame:
    """BT.500's screening: who votes far from the others on both sides.

    Returns:
        One row per observer: ``observer, votes, high, low, far_share, balance, rejected``. With
        fewer than FEWEST_OBSERVERS observers nobody is rejected.
    """
    first = votes["best"] < votes["worst"]
    signed = votes.assign(
        pair=np.where(first, votes["best"], votes["worst"])
        + "\0"
        + np.where(first, votes["worst"], votes["best"]),
        signed=np.where(first, votes["preference"], -votes["preference"]),
    )
    table = signed.pivot_table(index="observer", columns="pair", values="signed", aggfunc="first")
    values = table.to_numpy(float)
    centred = values - np.nanmean(values, axis=0)
    count = np.isfinite(values).sum(axis=0)
    squares, fourths = np.nansum(centred**2, axis=0), np.nansum(centred**4, axis=0)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    kurtosis = np.divide(fourths * count, squares**2, out=np.zeros_like(squares), where=squares > 0)
    normal = (kurtosis >= NORMAL_KURTOSIS[0]) & (kurtosis <= NORMAL_KURTOSIS[1])
    limit = np.where(normal, 2.0, np.sqrt(20.0)) * deviation
    usable = (deviation > 0) & (count >= FEWEST_OBSERVERS)
    high = (usable & (centred >= limit)).sum(axis=1)
    low = (usable & (centred <= -limit)).sum(axis=1)
    cast = np.isfinite(values).sum(axis=1)
    far, share = high + low, (high + low) / cast
    balance = np.divide(np.abs(high - low), far, out=np.ones(len(far)), where=far > 0)
    return pd.DataFrame(
        {
            "observer": table.index,
            "votes": cast,
            "high": high,
            "low": low,
            "far_share": share,
            "balance": balance,
            "rejected": (share > FAR_SHARE) & (balance < BALANCE),
        }
    )


def mean_preference(votes: pd.DataFrame) -> pd.DataFrame:
    """Rows as in pairs.csv (no MOS) with ``preference``, the mean over observers, and ``votes``."""
    groups = votes.groupby(CELL, sort=True)
    table = groups.agg(
        population=("population", "first"),
        gap=("gap", "first"),
        preference=("preference", "mean"),
        votes=("preference", "size"),
    )
    return table.reset_index()
