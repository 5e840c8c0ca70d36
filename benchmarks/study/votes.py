"""Votes of a study: read them, screen the observers, average each pair.

Reference: ITU-R BT.500-15, Annex 1, section A1-2.3.1 (screening of observers).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.datasets.labels import read_csv
from benchmarks.stats import FloatArray
from benchmarks.study.page import VOTE_COLUMNS

__all__ = ["FEWEST_OBSERVERS", "mean_preference", "read_votes", "screen"]

FAR_SHARE = 0.05
"""An observer is rejected when more than this share of the votes lies far out, and ..."""
BALANCE = 0.3
"""... on both sides alike: |high - low| / (high + low) is below this."""
NORMAL_KURTOSIS = (2.0, 4.0)
"""Far out is 2 standard deviations where the votes' kurtosis lies in this range, else sqrt(20)."""
FEWEST_OBSERVERS = 6
"""With fewer observers nobody is screened.

Of n votes none can lie further than (n - 1) / sqrt(n) standard deviations from their mean: below 6
observers nobody can be 2 away.
"""

CELL = ["attacker", "defender", "level", "best", "worst"]


def read_votes(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the votes of one study: a row per vote and competition cell, ``VOTE_COLUMNS``.

    Two people of one name have two sessions of the page: their names become
    ``NAME (SESSION)``. A file may be named twice.
    """
    votes = pd.concat([_read_file(path) for path in paths], ignore_index=True)
    if votes.empty:
        raise ValueError("no votes in these files")
    if (studies := votes["study"].nunique()) > 1:
        raise ValueError(f"votes of {studies} studies: rank each study by itself")
    votes = votes.drop_duplicates(["observer", "session", *CELL, "preference"])
    if (twice := votes.duplicated(["observer", "session", *CELL])).any():
        name = votes.loc[twice, "observer"].iloc[0]
        raise ValueError(
            f"observer {name!r} voted twice and differently on a pair: of several files of one "
            "session pass the last alone"
        )
    namesakes = votes.groupby("observer")["session"].transform("nunique") > 1
    names = votes["observer"].where(~namesakes, votes["observer"] + " (" + votes["session"] + ")")
    return votes.assign(observer=names)


def _read_file(path: Path) -> pd.DataFrame:
    text = dict.fromkeys(
        ("study", "observer", "session", "attacker", "defender", "best", "worst"), str
    )
    table = read_csv(path, VOTE_COLUMNS, dtype=text, keep_default_na=False)
    table["preference"] = pd.to_numeric(table["preference"], errors="coerce")
    if not table["preference"].between(-100, 100).all():
        raise ValueError(f"{path}: expected preferences in -100..100")
    return table


def screen(votes: pd.DataFrame) -> pd.DataFrame:
    """Screen the observers: who votes far from the others on both sides (BT.500-15, A1-2.3.1).

    Per pair of images, ``high`` and ``low`` count an observer's votes that lie at least 2 standard
    deviations above or below the mean where the votes' kurtosis lies in 2..4, else sqrt(20).
    With fewer than FEWEST_OBSERVERS observers nobody is rejected.
    """
    table = _votes_by_pair(votes)
    values = table.to_numpy(float)
    centred = values - np.nanmean(values, axis=0)
    limit = _far_out(centred)
    high = (centred >= limit).sum(axis=1)
    low = (centred <= -limit).sum(axis=1)
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


def _votes_by_pair(votes: pd.DataFrame) -> pd.DataFrame:
    """Observers x pairs of images: the preference for the image whose name sorts first."""
    first = votes["best"] < votes["worst"]
    signed = votes.assign(
        pair=np.where(first, votes["best"], votes["worst"])
        + "\0"
        + np.where(first, votes["worst"], votes["best"]),
        signed=np.where(first, votes["preference"], -votes["preference"]),
    )
    return signed.pivot_table(index="observer", columns="pair", values="signed", aggfunc="first")


def _far_out(centred: FloatArray) -> FloatArray:
    """Distance from each pair's mean from which a vote is far out; inf for none."""
    count = np.isfinite(centred).sum(axis=0)
    squares, fourths = np.nansum(centred**2, axis=0), np.nansum(centred**4, axis=0)
    deviation = np.sqrt(squares / np.maximum(count - 1, 1))
    kurtosis = np.divide(fourths * count, squares**2, out=np.zeros_like(squares), where=squares > 0)
    normal = (kurtosis >= NORMAL_KURTOSIS[0]) & (kurtosis <= NORMAL_KURTOSIS[1])
    usable = (deviation > 0) & (count >= FEWEST_OBSERVERS)
    limit: FloatArray = np.where(usable, np.where(normal, 2.0, np.sqrt(20.0)) * deviation, np.inf)
    return limit


def mean_preference(votes: pd.DataFrame) -> pd.DataFrame:
    """Average the votes on each pair: rows as in pairs.csv, with ``preference`` and ``votes``."""
    groups = votes.groupby(CELL, sort=True)
    table = groups.agg(
        population=("population", "first"),
        gap=("gap", "first"),
        preference=("preference", "mean"),
        votes=("preference", "size"),
    )
    return table.reset_index()
