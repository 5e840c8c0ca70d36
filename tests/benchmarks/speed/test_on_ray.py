"""Figures of Ray as text; the simulated worker's rows."""

from typing import Any

import pyarrow as pa

from benchmarks.speed import on_ray
from qualiclip_metric.streaming import parts


def test_a_simulated_worker_gives_rows_of_scores() -> None:
    table = pa.table({"key": ["a", "b"], "image": [b"1", b"2"]})
    rows = on_ray.Sleeper(0.0)(table)
    assert rows.schema.equals(parts.schema(on_ray.SIMULATED))
    assert rows["key"].to_pylist() == ["a", "b"]
    assert rows["score"].null_count == 0


def test_rates_are_ratios_to_the_plain_command() -> None:
    found: Any = {
        "plain 1": {"rates": [10.0, 12.0, 11.0], "median": 11.0},
        "ray 2": {"rates": [20.0, 24.0, 22.0], "median": 22.0},
    }
    assert on_ray.rate_rows(found)[1].endswith("22.00 images/s (20.00 to 24.00), 2.00 of plain 1")


def test_a_cluster_is_a_line() -> None:
    row = {"nodes": 2, "actors": 16, "images": 99, "ideal": 250.0, "rate": 200.0, "ratio": 0.8}
    assert (
        on_ray.curve_row(row)
        == "   2 nodes,  16 workers:    200.0 images/s of 250.0, 0.80 (99 images)"
    )


def test_an_image_of_lite_takes_time() -> None:
    assert on_ray.network_seconds(side=64) > 0
