"""The score file: journal and Parquet, torn lines, two writers."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results.store import Key, Row, Store, read

KEY = Key("mini", "sharpness", "sharpness|v1", False, "native")


def row(digest: str, value: float = 1.0, error: str = "") -> Row:
    return Row(digest, f"{digest}.png", value, error, 0.1, 8, 9)


def test_store_journal_and_parquet_agree(tmp_path: Path) -> None:
    with Store(tmp_path, KEY) as store:
        store.append([row("b", 0.1 + 0.2), row("a", float("nan"), "broken")])
        journal = store.rows().sort_values("digest", ignore_index=True)
        path, place = store.path, store.journal
        assert place.exists()
        assert not path.exists()
    assert not place.exists()
    key, rows = read(path, place)
    assert key == KEY
    pd.testing.assert_frame_equal(rows.sort_values("digest", ignore_index=True), journal)
    assert rows.set_index("digest").loc["b", "score"] == 0.1 + 0.2
    assert np.isnan(rows.set_index("digest").loc["a", "score"])
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name]


def test_a_torn_journal_loses_its_last_line_only(tmp_path: Path) -> None:
    store = Store(tmp_path, KEY)
    store.path.parent.mkdir()
    store.append([row("a"), row("b")])
    whole = store.journal.read_bytes()
    store.append([row("c")])
    torn = store.journal.read_bytes()[:-5]
    store.journal.write_bytes(torn)
    assert set(read(store.path, store.journal)[1]["digest"]) == {"a", "b"}
    with Store(tmp_path, KEY) as again:
        assert again.journal.read_bytes() == whole
        again.append([row("c", 3.0)])
    assert set(read(store.path, store.journal)[1]["digest"]) == {"a", "b", "c"}
    store.journal.write_bytes(b'{"format": 1, "data')
    with Store(tmp_path, KEY) as again:
        assert len(again.rows()) == 3


def test_every_cut_of_a_journal_can_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path, KEY)
    store.path.parent.mkdir()
    for name in "abc":
        store.append([row(name)])
    whole = store.journal.read_bytes()
    for cut in range(len(whole) + 1):
        store.journal.write_bytes(whole[:cut])
        with Store(tmp_path, KEY) as again:
            assert len(again.rows()) == max(0, whole[:cut].count(b"\n") - 1)
            again.compact = lambda: None  # type: ignore[method-assign]


def test_kill_between_parquet_and_journal_removal(tmp_path: Path) -> None:
    store = Store(tmp_path, KEY)
    store.path.parent.mkdir()
    store.append([row("a"), row("b")])
    journal = store.journal.read_bytes()
    store.compact()
    store.journal.write_bytes(journal)
    with Store(tmp_path, KEY) as again:
        assert len(again.rows()) == 2
    assert len(read(store.path, store.journal)[1]) == 2
