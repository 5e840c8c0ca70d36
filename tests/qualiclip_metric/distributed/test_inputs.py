"""Lists of paths in blocks, without a cluster."""

import tarfile
from pathlib import Path

import pytest

from qualiclip_metric.distributed import inputs
from qualiclip_metric.scoring.results import DoneKeys
from qualiclip_metric.sources.item import Item


@pytest.mark.parametrize(
    ("paths", "workers", "blocks", "largest"),
    [
        (500, 2, 8, 63),
        (5000, 8, 32, 157),
        (5, 2, 5, 1),  # no more blocks than paths
        (1, 64, 1, 1),
        (9, 2, 5, 2),
        (2048, 2, 8, 256),
        (2049, 2, 9, 256),
        (10_000, 2, 40, 256),
        (300, 0, 4, 75),  # a cluster that is yet to grow
    ],
)
def test_every_worker_gets_blocks_of_paths(
    paths: int, workers: int, blocks: int, largest: int
) -> None:
    items = (Item(f"{number}.jpg", Path(f"{number}.jpg")) for number in range(paths))
    tables = list(inputs.path_tables(items, inputs._schema({}), workers))
    assert len(tables) == blocks
    assert max(map(len, tables)) == largest
    keys = [key for table in tables for key in table[inputs.KEY].to_pylist()]
    assert keys == [f"{number}.jpg" for number in range(paths)]


def test_no_path_is_an_empty_block() -> None:
    (table,) = inputs.path_tables([], inputs._schema({}), 2)
    assert len(table) == 0 and inputs.KEY in table.column_names


def test_a_key_is_done_as_often_as_it_has_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ray:
        @staticmethod
        def get(reference: DoneKeys) -> DoneKeys:
            return reference

    monkeypatch.setattr(inputs, "import_ray", Ray)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"image")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in ("a.png", "a.png", "b.png"):
            tar.add(tmp_path / name, name)
    done = [DoneKeys((f"x.tar/{name}", 0.5) for name in ("a.png", "b.png"))]
    for _ in range(2):  # a task that Ray repeats gives the same
        tables = inputs._read_files(
            {"item": ["x.tar"]}, None, "", str(tmp_path), inputs._schema({}), done
        )
        assert [table[inputs.KEY].to_pylist() for table in tables] == [["x.tar/a.png"]]
