"""Simulated clusters: the worker's rows, and what is computed of times."""

import pyarrow as pa

from benchmarks.speed import simulated
from qualiclip_metric.streaming import parts


def test_a_simulated_worker_gives_rows_of_scores() -> None:
    table = pa.table({"key": ["a", "b"], "image": [b"1", b"2"]})
    rows = simulated.Sleeper(0.0)(table)
    assert rows.schema.equals(parts.schema(simulated.LAYOUT))
    assert rows["key"].to_pylist() == ["a", "b"]
    assert rows["score"].null_count == 0


def test_neither_start_nor_end_is_in_the_rate() -> None:
    times = [(0, 0.0), (100, 50.0), (500, 54.0), (900, 58.0), (1000, 99.0)]
    assert simulated.rate_between(times) == 100


def test_a_cluster_is_a_line() -> None:
    found = simulated.Simulated(2, 16, 99, ideal=250.0, rate=200.0)
    assert str(found) == "   2 nodes,  16 workers:    200.0 images/s of 250.0, 0.80 (99 images)"


def test_an_image_of_lite_takes_time() -> None:
    assert simulated.network_seconds(side=64) > 0
