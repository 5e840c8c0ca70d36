"""Tables become pools of images and scores."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.gmad.competition import Design
from benchmarks.gmad.pool import pool_from_results, read_wide
from benchmarks.gmad.result import run_competition


def test_names_are_text_and_missing_scores_leave_an_image_out(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text("image,a,b\n10,1,4\n9,1,3\nNA,1,2\n1,2,1\n7,,9\n")
    pool = read_wide(path)
    assert (pool.images, pool.dropped) == (["1", "10", "9", "NA"], 1)
    assert pool.notes == ["1 images left out: not scored by every metric"]
    pairs = run_competition(pool, Design(levels=1, width=50), "rank").pairs_table()
    row = pairs[pairs["attacker"] == "a"].iloc[0]
    assert (row["best"], row["worst"]) == ("1", "10")  # of the three tied, "10" sorts first


def test_lower_better_metrics_are_turned_and_wrong_directions_are_noted(table):
    frame = pd.read_csv(table)
    frame["good"] = -frame["good"]
    frame.to_csv(table, index=False)
    assert "--lower-better good" in read_wide(table).notes[0]
    turned = read_wide(table, lower_better=["good"])
    assert turned.notes == []
    # written once more than the table: pandas 2 reads the last digit of a csv loosely
    np.testing.assert_allclose(turned.scores[:, 0], -frame["good"], rtol=1e-15)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,a,b\nx,1,2\n", "no column image"),
        ("image,a\nx,1\ny,2\n", "two or more different metrics"),
        ("image,a,b\nx,1,2\nx,3,4\n", "'x' appears more than once"),
        ("image,a,b\nx,1,2\ny,fine,4\n", "'fine', which is no number"),
        ("image,a,b\nx,1,2\ny,,4\n", "two or more images scored"),
        ("", "the file is empty"),
    ],
)
def test_wrong_tables_are_refused_with_the_cure(tmp_path, text, message):
    path = tmp_path / "wide.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_wide(path)


def test_results_frames_become_pools():
    frame = pd.DataFrame(
        {
            "image": ["b", "a"],
            "path": ["/x/b", "/x/a"],
            "mos": [1.0, 2.0],
            "reference": ["", ""],
            "lite": [0.1, 0.9],
            "niqe": [-3.0, -2.0],
        }
    )
    frame.attrs = {"metrics": ["lite", "niqe"], "signatures": {"lite": "lite|v0", "niqe": "niqe"}}
    pool = pool_from_results(frame)
    assert (pool.images, pool.paths) == (["a", "b"], ["/x/a", "/x/b"])
    assert pool.signatures == frame.attrs["signatures"]
    np.testing.assert_array_equal(pool.scores, [[0.9, -2], [0.1, -3]])


def test_a_metric_with_half_of_the_scores_is_left_out_and_no_image_is():
    frame = pd.DataFrame({"image": list("abcd"), "x": [1.0, 2, 3, 4], "y": [3.0, 2, 1, 0]})
    frame["z"] = [1.0, 2, np.nan, np.nan]
    frame.attrs = {"metrics": ["x", "y", "z"], "signatures": {}}
    pool = pool_from_results(frame)
    assert (pool.metrics, len(pool.images)) == (["x", "y"], 4)


def test_a_metric_without_scores_is_left_out_with_a_note():
    frame = pd.DataFrame({"image": list("abc"), "x": [1.0, 2, 3], "y": [3.0, 2, 1], "z": np.nan})
    frame.attrs = {"metrics": ["x", "y", "z"], "signatures": {}}
    pool = pool_from_results(frame)
    assert (pool.metrics, pool.dropped) == (["x", "y"], 0)
    assert pool.notes == ["z left out: it scored 0% of the images"]
    with pytest.raises(ValueError, match="two metrics"):
        pool_from_results(frame, ["x", "z"])
