"""Files of votes: any table is read row by row, or refused with a reason."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.study.votes import VOTE_COLUMNS, mean_preference, read_votes, screen

NAMES = st.sampled_from(["a", "b", "c.png"])
CELLS = st.one_of(
    NAMES,
    st.integers(-200, 200).map(str),
    st.sampled_from(["", "nan", "inf", "1e999", '"', '"a,b"', "=1+1", "\0", "\r", "ä", "0x10"]),
)
ROWS = st.lists(st.fixed_dictionaries(dict.fromkeys(VOTE_COLUMNS, CELLS)), min_size=0, max_size=6)
GOOD = st.lists(
    st.tuples(NAMES, NAMES, st.integers(1, 3), st.integers(-100, 100)),
    min_size=1,
    max_size=8,
    unique_by=lambda row: row[:3],
)


def read(*contents: bytes) -> pd.DataFrame | None:
    """The votes in files; None where they are refused."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.csv") for number in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        try:
            return read_votes(paths)
        except ValueError as err:
            assert str(err)
            return None


def table(rows: list[dict[str, str]]) -> bytes:
    lines = [
        ",".join(VOTE_COLUMNS),
        *(",".join(row[name] for name in VOTE_COLUMNS) for row in rows),
    ]
    return "\n".join(lines).encode()


@settings(deadline=None, max_examples=100)
@given(ROWS.map(table) | st.binary(max_size=60))
@example(b"")
@example(b"\xff\xfea")
@example((",".join(VOTE_COLUMNS) + "\n" + '"' * 9).encode())
def test_a_file_is_read_or_refused(content: bytes) -> None:
    votes = read(content)
    if votes is None:
        return
    assert votes["preference"].between(-100, 100).all()
    assert votes["study"].nunique() == 1
    assert set(screen(votes).columns) > {"observer"}


@settings(deadline=None, max_examples=50)
@given(GOOD)
def test_votes_are_read_once_however_often_their_file_is_named(
    rows: list[tuple[str, str, int, int]],
) -> None:
    columns = {
        "study": "s", "observer": "o", "session": "1", "best": "x.png", "worst": "y.png",
    }  # fmt: skip
    frame = pd.DataFrame(rows, columns=["attacker", "defender", "level", "preference"])
    for name in VOTE_COLUMNS:
        if name not in frame:
            frame[name] = columns.get(name, "0")
    content = frame[list(VOTE_COLUMNS)].to_csv(index=False).encode()
    once, twice = read(content), read(content, content)
    assert once is not None
    assert twice is not None
    pd.testing.assert_frame_equal(once, twice)
    assert sorted(once["preference"]) == sorted(row[3] for row in rows)
    assert np.isfinite(mean_preference(once)["preference"]).all()
