"""From images to score files: scorers, batches, the store, resuming after a kill, the loader."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.datasets import load, parse
from benchmarks.metrics import baselines
from benchmarks.metrics.build import build, display_name
from benchmarks.metrics.build import parse as parse_metric
from benchmarks.metrics.scorer import MetricError, Scorer, file_digest
from benchmarks.results import folder as results
from benchmarks.results.store import Busy, Key, Row, Store, read
from benchmarks.scoring import batches as scoring
from benchmarks.scoring import image_info as facts
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "data"
KEY = Key("mini", "sharpness", "sharpness|v1", False, "native")


@pytest.fixture
def mini(tmp_path: Path) -> Path:
    """Fourteen images in three sizes, one file twice, one file that is no image."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "mini"
    folder.mkdir()
    lines = ["image,mos,reference,split"]
    for i in range(12):
        size = (24 + 8 * (i % 3), 40, 3)
        pixels = rng.integers(0, 256, size, dtype=np.uint8) // (i + 1)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        lines.append(f"{i}.png,{12 - i + i % 2},r{i // 2},{['training', 'test'][i % 2]}")
    (folder / "twin.png").write_bytes((folder / "3.png").read_bytes())
    (folder / "bad.png").write_bytes(b"no image")
    lines += ["twin.png,9,r9,test", "bad.png,1,r8,test"]
    (folder / "mini.csv").write_text("\n".join(lines) + "\n")
    return folder / "mini.csv"


def score(
    labels: Path, out: Path, metric: str = "sharpness", **options
) -> tuple[runner.Outcome, pd.DataFrame]:
    dataset = load(parse(f"csv={labels}"))
    known = {k: options.pop(k) for k in ("short_side", "workers", "jobs") if k in options}
    settings = Settings(metric, threads=1, **known)
    frame = runner.prepare(dataset, out)
    outcome = runner.run(build(metric), settings, dataset, frame, out, **options)
    return outcome, results.load(out)


# scorers


def test_parse_options() -> None:
    assert parse_metric("pyiqa:niqe,crop_border=4,a=x,b=true") == (
        "pyiqa:niqe",
        {"crop_border": 4, "a": "x", "b": True},
    )
    assert parse_metric("lite") == ("lite", {})
    for text in ("", "lite,oops", "lite,=3"):
        with pytest.raises(MetricError):
            parse_metric(text)


def test_display_names() -> None:
    names = {
        "pyiqa:niqe,crop_border=4": "pyiqa:niqe",
        "runs/a/model.safetensors": "model.safetensors",
        "lite": "lite",
        "pack.mod:function": "pack.mod:function",
    }
    for text, name in names.items():
        assert display_name(text) == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope", "unknown metric 'nope'; expected lite"),
        ("nowhere:f", "cannot import f from nowhere"),
        ("benchmarks.metrics.baselines:nope", "cannot import nope"),
        ("table:no.csv", r"no file no\.csv"),
        ("sharpness,x=1", "takes no options, got x"),
        ("pyiqa:ssim", "needs reference images"),
        ("pyiqa:nope", "has no metric of that name"),
        ("pyiqa:niqe,pretrained_model_path=no.mat", r"no parameter file no\.mat"),
    ],
)
def test_what_cannot_be_built_says_why(text: str, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        build(text)


def test_own_callable_declares_its_direction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mymetric.py").write_text(
        "def mean(images, power=1):\n    return images.mean((1, 2, 3)) ** power\n"
        "def blur(images):\n    return -images.std((1, 2, 3))\nblur.lower_is_better = True\n"
        "blur.signature = 'blur|v7'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mean = build("mymetric:mean,power=2")
    assert not mean.lower_is_better
    assert mean.signature.startswith("mymetric:mean|source:")
    assert mean.signature.endswith("|power:2")
    assert mean.score is not None
    np.testing.assert_allclose(mean.score(torch.full((2, 3, 4, 4), 0.5)), [0.25, 0.25])
    assert build("mymetric:mean,lower_is_better=true").lower_is_better
    blur = build("mymetric:blur")
    assert blur.lower_is_better
    assert blur.signature == "blur|v7"


def test_pyiqa_is_built_with_its_direction() -> None:
    piqe = build("pyiqa:piqe", device="cpu")
    assert piqe.lower_is_better
    assert not piqe.batched
    assert piqe.signature.startswith("pyiqa:piqe|pyiqa:")
    assert piqe.score is not None
    assert piqe.score(torch.rand(1, 3, 64, 64, generator=torch.manual_seed(0))).shape == (1,)


def write_niqe(path: Path) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(36, 36))
    np.savez(path, mu_pris_param=rng.normal(size=(1, 36)), cov_pris_param=a @ a.T)


def test_niqe_takes_basicsr_parameters(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    write_niqe(file)
    scorer = build(f"pyiqa:niqe,pretrained_model_path={file}", device="cpu")
    assert f"pretrained_model_path:{file_digest(file)}" in scorer.signature
    assert scorer.score is not None
    image = torch.rand(1, 3, 192, 192, generator=torch.manual_seed(0))
    assert torch.isfinite(scorer.score(image)).all()
    np.savez(file, other=np.ones(3))
    with pytest.raises(MetricError, match="no cov_pris_param, mu_pris_param; found other"):
        build(f"pyiqa:niqe,pretrained_model_path={file}", device="cpu")


def test_brisque_takes_libsvm_text(tmp_path: Path) -> None:
    file = tmp_path / "allmodel"
    head = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nrho {}\nSV\n"
    rows = "2.0 1:0.5 36:-1\n-1.5 2:1\n"
    file.write_text(head.format("-153.591") + rows)
    scorer = build(f"pyiqa:brisque,pretrained_model_path={file}", device="cpu")
    assert scorer.lower_is_better
    file.write_text(head.format("-155.845") + rows)
    with pytest.raises(MetricError, match="another BRISQUE model"):
        build(f"pyiqa:brisque,pretrained_model_path={file}", device="cpu")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_niqe_prefers_a_sharp_photo_to_a_noisy_one() -> None:
    data = pytest.importorskip("skimage.data")
    parameters = SHARED / "niqe_pris_params.npz"
    scorer = build(f"pyiqa:niqe,pretrained_model_path={parameters}", device="cpu")
    assert scorer.score is not None
    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1)[None].float() / 255
    noisy = (photo + 0.2 * torch.randn(photo.shape, generator=torch.manual_seed(0))).clamp(0, 1)
    assert scorer.score(photo).item() < scorer.score(noisy).item()


def test_baselines() -> None:
    flat = torch.full((1, 3, 16, 16), 0.5)
    noise = torch.rand(2, 3, 16, 16, generator=torch.manual_seed(0))
    assert baselines.sharpness(flat).item() == 0
    assert (baselines.jpegsize(noise) > baselines.jpegsize(flat)).all()
    impulse = torch.zeros(1, 3, 5, 5)
    impulse[..., 2, 2] = 1
    # Laplacian: -4 once, 1 four times, 0 four times; mean 0, variance (16 + 4) / 9 of 255 squared
    assert baselines.sharpness(impulse).item() == pytest.approx(255**2 * 20 / 9, rel=1e-6)
    for metric in (baselines.sharpness, baselines.jpegsize):
        together = metric(noise)
        apart = torch.cat([metric(noise[:1]), metric(noise[1:])])
        torch.testing.assert_close(together, apart)
    with pytest.raises(ValueError, match="at least 3x3"):
        baselines.sharpness(torch.zeros(1, 3, 2, 9))


# batches and rows


def test_plan_groups_sizes_and_bounds_pixels() -> None:
    items = [scoring.Item(str(i), str(i), "", 100 * (1 + i % 2), 100) for i in range(9)] + [
        scoring.Item("big", "big", "", 3000, 4000),
        scoring.Item("odd", "odd", "", 0, 0),
    ]
    plan = scoring.plan(items, 3)
    assert [len(batch) for batch in plan] == [3, 2, 3, 1, 1, 1]
    assert {item.digest for batch in plan for item in batch} == {item.digest for item in items}
    assert all(len({(i.height, i.width) for i in batch}) == 1 for batch in plan)


def test_one_bad_image_does_not_cost_its_batch(mini: Path) -> None:
    def picky(images: torch.Tensor) -> torch.Tensor:
        if (images.mean((1, 2, 3)) > 0.4).any():
            raise RuntimeError("too bright\nsecond line")
        return images.mean((1, 2, 3))

    scorer = Scorer("picky", "picky", False, picky)
    items = [scoring.Item(n, n, str(mini.parent / n), 24, 40) for n in ("0.png", "3.png", "6.png")]
    (rows,) = scoring.score_batches(scorer, scoring.plan(items, 8))
    errors = {row.image: row.error for row in rows}
    assert errors == {"0.png": "RuntimeError: too bright", "3.png": "", "6.png": ""}


def test_scores_that_are_no_numbers_are_errors(mini: Path) -> None:
    items = [scoring.Item(n, n, str(mini.parent / n), 24, 40) for n in ("0.png", "3.png")]

    def run(values) -> list[str]:
        scorer = Scorer("s", "s", False, lambda images: torch.tensor(values(images)))
        return [row.error for rows in scoring.score_batches(scorer, [tuple(items)]) for row in rows]

    assert run(lambda images: [float("nan"), 1.0]) == ["score is nan", ""]
    assert (
        run(lambda images: [1.0] * 5) == ["ValueError: the metric gave 5 scores for 1 images"] * 2
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("batched", [False, True])
def test_whatever_a_metric_throws_costs_its_image(mini: Path, workers: int, batched: bool) -> None:
    seen: list[int] = []

    def odd(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        if (images.mean((1, 2, 3)) > 0.4).any():
            raise KeyError("odd")
        return images.mean((1, 2, 3))

    scorer = Scorer("odd", "odd", False, odd, batched=batched)
    names = ("0.png", "3.png", "6.png", "bad.png")
    items = [scoring.Item(n, n, str(mini.parent / n), 24, 40) for n in names]
    plan = scoring.plan(items, 8)
    (rows,) = scoring.score_batches(scorer, plan, short_side=12, workers=workers)
    found = {row.image: row for row in rows}
    assert found["0.png"].error == "KeyError: 'odd'"
    assert found["3.png"].error == found["6.png"].error == ""
    assert found["bad.png"].error.startswith("ImageError: ")
    assert (found["0.png"].height, found["0.png"].width) == (12, 20)  # as it met the metric
    assert (found["bad.png"].height, found["bad.png"].width) == (24, 40)
    assert seen == ([3, 1, 1, 1] if batched else [1, 1, 1])


def test_decode_resizes_the_short_side(mini: Path) -> None:
    image = scoring.decode(str(mini.parent / "1.png"), 16)
    assert image.shape == (3, 16, 20)
    assert image.min() >= 0 and image.max() <= 1
    assert scoring.decode(str(mini.parent / "1.png"), None).shape == (3, 32, 40)


def test_facts_are_cached_and_follow_changes(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = mini.parent / "cache.parquet"
    paths = [str(mini.parent / name) for name in ("1.png", "bad.png", "0.png")]
    first = facts.facts(paths, cache)
    assert first[["height", "width"]].to_numpy().tolist() == [[32, 40], [0, 0], [24, 40]]
    calls: list[str] = []
    reader = facts._read
    monkeypatch.setattr(facts, "_read", lambda path: (calls.append(path), reader(path))[1])
    pd.testing.assert_frame_equal(facts.facts(paths, cache), first)
    assert calls == []
    Image.new("RGB", (9, 7)).save(paths[0])
    changed = facts.facts(paths, cache)
    assert calls == [paths[0]]
    assert changed["height"].tolist() == [7, 0, 24]
    assert changed["digest"][0] != first["digest"][0]


def test_facts_know_turned_photos(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    found = facts.facts([str(tmp_path / "turned.jpg")], tmp_path / "c.parquet")
    assert found[["height", "width"]].to_numpy().tolist() == [[20, 10]]
    assert scoring.decode(str(tmp_path / "turned.jpg"), None).shape == (3, 20, 10)


# store


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


def test_two_writers_are_told(tmp_path: Path) -> None:
    with Store(tmp_path, KEY), pytest.raises(Busy, match="another run is scoring sharpness"):
        Store(tmp_path, KEY).__enter__()


def test_slugs_are_file_names_and_differ() -> None:
    other = Key("mini", "pyiqa:niqe", "x", True, "native")
    assert other.slug.startswith("pyiqa_niqe-")
    resized = Key(**{**asdict(KEY), "resolution": "short-side-448"})
    assert len({KEY.slug, resized.slug, other.slug}) == 3


# runs


def test_run_computes_only_what_is_missing(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    first, table = score(mini, out)
    assert (first.computed, first.reused, first.failed) == (13, 0, 1)  # the twin is scored once
    again, same = score(mini, out)
    assert (again.computed, again.reused, again.failed) == (0, 13, 1)
    pd.testing.assert_frame_equal(table, same)
    assert table["sharpness"].isna().sum() == 1
    twins = table.set_index("image")["sharpness"]
    assert twins["twin.png"] == twins["3.png"]
    Image.new("RGB", (16, 16)).save(mini.parent / "new.png")
    mini.write_text(mini.read_text() + "new.png,5,r7,test\n")
    assert score(mini, out)[0].computed == 1


def test_failed_images_keep_their_error_until_retried(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    (file,) = results.score_files(out, "mini")
    errors = file.rows.set_index("image")["error"]
    assert "bad.png" in errors["bad.png"]
    assert errors.drop("bad.png").eq("").all()
    assert score(mini, out, retry_failed=True)[0].computed == 1


def test_batch_size_workers_and_jobs_do_not_change_scores(mini: Path, tmp_path: Path) -> None:
    tables = [
        score(mini, tmp_path / "a", batch_size=1)[1],
        score(mini, tmp_path / "b", batch_size=5, workers=1)[1],
        score(mini, tmp_path / "c", batch_size=2, jobs=2)[1],
    ]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table, tables[0])


def test_lite_scores_a_batch_as_it_scores_its_images() -> None:
    try:
        scorer = build("lite", device="cpu")
    except MetricError as err:
        pytest.skip(str(err))
    assert scorer.score is not None
    images = torch.rand(3, 3, 96, 128, generator=torch.manual_seed(0))
    images[1] = images[1].mean(dim=(1, 2), keepdim=True)
    images[2] = images[2, :, :1]
    together = scorer.score(images)
    apart = torch.cat([scorer.score(image[None]) for image in images])
    assert together.std() > 1e-3
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)


def test_resolution_is_part_of_the_key(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    outcome, table = score(mini, out, short_side=16)
    assert outcome.computed == 13
    assert table.attrs["metrics"] == ["sharpness @native", "sharpness @short-side-16"]
    only = results.load(out, "mini", resolution="short-side-16")
    assert only.attrs["metrics"] == ["sharpness"]


def test_direction_is_turned_by_declaration(mini: Path, tmp_path: Path) -> None:
    column = "benchmarks.metrics.baselines:sharpness"
    raw = score(mini, tmp_path / "a", column)[1]
    turned = score(mini, tmp_path / "b", f"{column},lower_is_better=true")[1]
    np.testing.assert_array_equal(turned[column], -raw[column])
    assert turned.attrs["lower_is_better"] == {column: True}


def test_published_predictions(mini: Path, tmp_path: Path) -> None:
    table = tmp_path / "pred.csv"
    table.write_text("name,value\n0,5\n1.png,4\n2.png,\n")
    outcome, wide = score(
        mini, tmp_path / "r", f"table:{table},image=name,score=value,lower_is_better=true"
    )
    scores = wide.set_index("image")["table:pred.csv"]
    assert scores["0.png"] == -5
    assert scores["1.png"] == -4
    assert outcome.failed == 11
    table.write_text("name,value\n0,5\n0,6\n")
    with pytest.raises(MetricError, match="lists 0 twice"):
        build(f"table:{table},image=name,score=value")
    with pytest.raises(MetricError, match="no column image, score"):
        build(f"table:{table}")


def test_load_without_results(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no results under .*python -m benchmarks run"):
        results.load(tmp_path)


def test_load_stacks_datasets(mini: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    score(mini, out)
    second = mini.with_name("second.csv")
    second.write_text(mini.read_text())
    score(second, out, "jpegsize")
    wide = results.load(out)
    assert wide.groupby("dataset").size().to_dict() == {"mini": 14, "second": 14}
    assert wide.attrs["metrics"] == ["sharpness", "jpegsize"]
    assert wide.loc[wide["dataset"] == "mini", "jpegsize"].isna().all()
    assert wide.attrs["datasets"]["mini"]["n"] == 14
    with pytest.raises(ValueError, match=r"no dataset 'third'.*it has mini, second"):
        results.load(out, "third")


# a kill at any moment

SLOW = """
import time
def slow(images):
    time.sleep(0.15)
    return images.mean((1, 2, 3))
slow.signature = "slow|v1"
"""


def command(mini: Path, out: Path) -> list[str]:
    return [
        "run", "--metric", "slow_metric:slow", "--dataset", f"csv={mini}", "--out", str(out),
        "--batch-size", "2", "--resamples", "0", "--splits", "0", "--workers", "0",
    ]  # fmt: skip


def test_kill_and_resume(
    mini: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "slow_metric.py").write_text(SLOW)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks", *command(mini, killed)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    deadline = time.monotonic() + 120
    journals: list[Path] = []
    while time.monotonic() < deadline and process.poll() is None:
        journals = list(killed.glob("mini/*.jsonl"))
        if journals and journals[0].read_bytes().count(b"\n") >= 5:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, errors.decode()
    kept = [json.loads(line) for line in journals[0].read_bytes().split(b"\n")[1:-1]]
    assert 4 <= len(kept) < 13

    monkeypatch.syspath_prepend(tmp_path)
    for out, computed in ((killed, 13 - len(kept)), (whole, 13), (killed, 0)):
        with pytest.raises(SystemExit) as caught:
            main(command(mini, out))
        assert caught.value.code == 1  # one image cannot be read
        shown = capsys.readouterr()
        assert f"{computed} computed, {13 - computed} reused, 1 failed" in shown.err
        assert ("nothing to compute" in shown.err) == (computed == 0)
        assert shown.out.startswith("# Summary")
    resumed, straight = (
        pd.read_csv(out / "summary.csv").drop(columns="seconds_per_image")
        for out in (killed, whole)
    )
    pd.testing.assert_frame_equal(resumed, straight)
    pd.testing.assert_frame_equal(results.load(killed), results.load(whole))
