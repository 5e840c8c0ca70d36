"""Study pages and their votes, without a browser."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks.study.page import VOTE_COLUMNS, design_study
from benchmarks.study.votes import mean_preference, read_votes, screen

PAIRS = pd.DataFrame(
    [
        ("A", "B", 1, 20, "x.png", "y.png", 5.0),
        ("B", "A", 2, 10, "y.png", "x.png", 9.0),
        ("A", "B", 2, 10, "z.png", "x.png", 1.0),
        ("A", "B", 3, 4, "z.png", "z.png", 0.0),
        ("B", "A", 3, 1, "", "", np.nan),
    ],
    columns=["attacker", "defender", "level", "population", "best", "worst", "gap"],
)


def votes_of(observer, preferences, session="0a"):
    """One row per (pair number, preference); pair k is of images a{k} and b{k}."""
    head = ("s1", observer, session)
    rows = [
        (*head, k, "A", "B", k, 10, 5.0, f"a{k}", f"b{k}", "left", vote, 1.0)
        for k, vote in enumerate(preferences)
    ]
    return pd.DataFrame(rows, columns=VOTE_COLUMNS)


def test_each_pair_of_images_is_asked_once_and_answers_all_its_cells():
    design = design_study(PAIRS, seed=1)
    assert design["images"] == ["x.png", "y.png", "z.png"]
    assert [trial["images"] for trial in design["trials"]] == [(0, 1), (0, 2)]
    first, second = (trial["cells"] for trial in design["trials"])
    assert [(c["attacker"], c["level"], c["best"]) for c in first] == [("A", 1, 0), ("B", 2, 1)]
    assert [(c["attacker"], c["level"], c["best"]) for c in second] == [("A", 2, 1)]


def test_the_study_is_named_by_its_pairs_and_seed():
    names = {design_study(*args)["study"] for args in ((PAIRS, 1), (PAIRS, 2), (PAIRS[:2], 1))}
    assert len(names) == 3
    assert design_study(PAIRS, 1)["study"] == design_study(PAIRS.copy(), 1)["study"]


def test_the_limit_keeps_the_widest_gaps():
    assert len(design_study(PAIRS, 1, limit=2)["trials"]) == 1
    with pytest.raises(ValueError, match="vote"):
        design_study(PAIRS[3:], 1)


def save_images(folder, names):
    rng = np.random.default_rng(0)
    for name in names:
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(folder / name)


def test_the_page_is_self_contained_and_escapes_names(command, tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    pairs = PAIRS.replace({"attacker": {"A": evil}, "defender": {"A": evil}})
    pairs.to_csv(tmp_path / "pairs.csv", index=False)
    save_images(tmp_path, ["x.png", "y.png", "z.png"])
    words = ["study", "--out", tmp_path, "--images", tmp_path, "--title", "<b>T</b>"]
    command("gmad", *words)
    page = (tmp_path / "study.html").read_text(encoding="utf-8")
    assert evil not in page and "<b>T</b>" not in page
    assert not re.findall(r"<[^>]*(?:src|href)=", page)
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["trials"][0]["cells"][0]["attacker"] == evil
    assert all(uri.startswith("data:image/png;base64,") for uri in data["pictures"])


def test_a_study_without_images_says_where_to_name_them(command, tmp_path):
    PAIRS.to_csv(tmp_path / "pairs.csv", index=False)
    assert "--images DIR" in command("gmad", "study", "--out", tmp_path, code=2).err
    words = ["study", "--out", tmp_path, "--images", tmp_path]
    assert "x.png" in command("gmad", *words, code=2).err


def write(tmp_path, tables):
    paths = [tmp_path / f"votes{i}.csv" for i in range(len(tables))]
    for path, table in zip(paths, tables, strict=True):
        table.to_csv(path, index=False)
    return paths


def crowd(rng, observers, pairs=60):
    """Observers who agree up to noise."""
    truth = rng.uniform(-60, 60, pairs)
    return [
        votes_of(f"person{i}", np.clip(truth + rng.normal(0, 20, pairs), -100, 100))
        for i in range(observers)
    ]


def test_bt500_rejects_who_votes_at_random_and_no_one_else(tmp_path):
    rng = np.random.default_rng(0)
    tables = [*crowd(rng, 14), votes_of("random", rng.choice([-100.0, 100.0], 60))]
    observers = screen(read_votes(write(tmp_path, tables)))
    assert observers.loc[observers["rejected"], "observer"].tolist() == ["random"]


def test_one_sided_observers_stay():
    rng = np.random.default_rng(0)
    biased = votes_of("biased", np.full(60, 100.0))
    observers = screen(pd.concat([*crowd(rng, 14), biased])).set_index("observer")
    assert observers.loc["biased", "far_share"] > 0.05
    assert observers.loc["biased", "balance"] > 0.9
    assert not observers.loc["biased", "rejected"]


def test_a_handful_of_observers_is_not_screened():
    rng = np.random.default_rng(0)
    tables = [*crowd(rng, 4), votes_of("random", rng.choice([-100.0, 100.0], 60))]
    assert not screen(pd.concat(tables))["rejected"].any()


def test_screening_does_not_count_a_pair_twice_or_by_its_direction():
    rng = np.random.default_rng(0)
    votes = pd.concat([*crowd(rng, 9), votes_of("random", rng.choice([-100.0, 100.0], 60))])
    mirrored = votes.assign(
        attacker=votes["defender"],
        defender=votes["attacker"],
        best=votes["worst"],
        worst=votes["best"],
        preference=-votes["preference"],
    )
    pd.testing.assert_frame_equal(screen(pd.concat([votes, mirrored])), screen(votes))


def test_mean_preference_is_over_observers():
    table = mean_preference(pd.concat([votes_of("p", [100, 0]), votes_of("q", [50, 50])]))
    assert table["preference"].tolist() == [75, 25]
    assert table["votes"].tolist() == [2, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"preference": 101}, "-100..100"),
        ({"preference": ""}, "-100..100"),
        ({"study": "s2"}, "votes of 2 studies"),
        ({"preference": 1}, "voted twice and differently"),
    ],
)
def test_wrong_votes_are_refused(tmp_path, change, message):
    table = votes_of("p", [100, 0])
    with pytest.raises(ValueError, match=message):
        read_votes(write(tmp_path, [table, table.assign(**change)]))


def test_two_people_of_one_name_stay_two(tmp_path):
    tables = [votes_of("Ann", [100, 0]), votes_of("Ann", [-100, 50], session="1b")]
    votes = read_votes(write(tmp_path, [*tables, votes_of("Bob", [0, 0])]))
    assert sorted(set(votes["observer"])) == ["Ann (0a)", "Ann (1b)", "Bob"]
    assert mean_preference(votes)["votes"].tolist() == [3, 3]
    assert len(screen(votes)) == 3


def test_other_csv_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="study"):
        read_votes(write(tmp_path, [PAIRS]))


def test_rank_takes_files_as_a_shell_expands_them(command, tmp_path):
    rng = np.random.default_rng(0)
    tables = []
    for i in range(7):
        forward = votes_of(f"p{i}", np.clip(rng.normal(70, 20, 12), -100, 100))
        back = votes_of(f"p{i}", np.clip(rng.normal(5, 20, 12), -100, 100))
        back = back.assign(attacker="B", defender="A", level=back["level"] + 20)
        back[["best", "worst"]] = "c" + back[["best", "worst"]]
        tables.append(pd.concat([forward, back]))
    tables.append(tables[0])  # The same file twice counts once.
    words = ["rank", "--votes", *write(tmp_path, tables), "--out", tmp_path / "out"]
    shown = command("gmad", *words)
    ranking = json.loads((tmp_path / "out" / "ranking.json").read_text())
    assert [row["metric"] for row in ranking["aggressiveness_ranking"]["rows"]] == ["A", "B"]
    assert len(ranking["observers"]) == 7
    assert pd.read_csv(tmp_path / "out" / "votes.csv")["votes"].eq(7).all()
    assert "aggressiveness (Thurstone" in shown.out
