"""Lists of paths in blocks, without a cluster."""

from pathlib import Path

import pytest

from qualiclip_metric.distributed import inputs
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


def test_no_path_is_no_block() -> None:
    assert list(inputs.path_tables([], inputs._schema({}), 2)) == []
