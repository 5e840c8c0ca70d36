"""The fuzzer: the same damage from the same seed, and every bad ending is noticed."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.fuzz import samples, session, targets
from benchmarks.fuzz.mutations import COUNTS, MUTATIONS, mutate, mutate_table
from benchmarks.fuzz.samples import BOMBS, FORMATS, images
from benchmarks.fuzz.session import FuzzReport, _Reader, fuzz
from benchmarks.fuzz.targets import ACCEPTED, CRASHED, ESCAPED, HUNG, REFUSED, WRONG, Ending
from qualiclip_metric.decoding.files import MAX_PIXELS, WHOLE_PIXELS
from qualiclip_metric.images import read


def test_damage_depends_on_the_seed_alone_and_is_damage() -> None:
    content = bytes(range(256)) * 4
    first, same, other = (mutate(content, random.Random(seed)) for seed in (1, 1, 2))
    assert first == same != other
    damaged = [mutate(content, random.Random(seed)) for seed in range(200)]
    assert sum(one != content for one in damaged) > 195
    assert {len(one) > len(content) for one in damaged} == {True, False}
    table = b"image,mos\na.png,1\nb.png,2\n"
    assert mutate_table(table, random.Random(3)) == mutate_table(table, random.Random(3))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_damage_minds_a_file_that_is_empty(mutation) -> None:
    for seed in range(20):
        mutation(bytearray(), random.Random(seed))
    assert min(COUNTS) == 1


def test_samples_are_images_of_eight_formats(tmp_path: Path) -> None:
    paths = images(tmp_path)
    assert {path.suffix.lstrip(".") for path in paths} == set(FORMATS.values())
    assert len(FORMATS) == 8
    for path in paths:
        assert read(path).shape[0] == 3


@pytest.mark.parametrize(("kind", "files"), [("images", 60), ("checkpoints", 12), ("labels", 60)])
def test_damaged_files_are_read_or_refused(kind: str, files: int) -> None:
    report = fuzz(kind, files, seed=0)
    assert report.failures == []
    assert report.outcomes[ACCEPTED] + report.outcomes[REFUSED] == files
    assert report.outcomes[REFUSED] > 0
    assert f"{files} damaged {kind}, seed 0" in report.text()


def test_bombs_are_read_as_they_are_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {name: (mode, 600, options) for name, (mode, _, options) in BOMBS.items()}
    monkeypatch.setattr(samples, "BOMBS", small)
    report = fuzz("bombs", 100, seed=0)
    assert report.failures == []
    assert report.outcomes == {ACCEPTED: len(small)}
    assert f"{len(small)} bombs, as they are" in report.text()
    for name, (_, side, _) in BOMBS.items():
        most = WHOLE_PIXELS if name.endswith("webp") else MAX_PIXELS
        assert 0.9 * most < side**2 <= most


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        (lambda path: 1 / 0, ESCAPED),
        (lambda path: (WRONG, "score 7.0"), WRONG),
        (lambda path: (REFUSED, "no"), REFUSED),
    ],
)
def test_an_exception_and_a_wrong_score_are_noticed(
    target, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(targets.TARGETS, "labels", target)
    assert targets.examine("labels", Path("x.csv")).outcome == outcome


def dies(kind: str, path: Path) -> Ending:
    os.kill(os.getpid(), signal.SIGKILL)
    return Ending(ACCEPTED)


def hangs(kind: str, path: Path) -> Ending:
    time.sleep(600)
    return Ending(ACCEPTED)


@pytest.mark.parametrize(("examine", "outcome"), [(dies, CRASHED), (hangs, HUNG)])
def test_a_child_that_dies_or_hangs_is_noticed(
    examine, outcome: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.csv").write_text("image,mos\n")
    with _Reader(timeout=60.0) as reader:
        monkeypatch.setattr(session, "examine", examine)
        if examine is hangs:
            reader.timeout = 1.0
        assert reader.read("labels", tmp_path / "x.csv").outcome == outcome
        if examine is dies:
            monkeypatch.undo()
            assert reader.read("labels", tmp_path / "x.csv").outcome == REFUSED


def test_the_report_names_what_stands_out() -> None:
    report = FuzzReport("images", 3)
    report.add("a.png", Ending(ACCEPTED, "", 0.5, 20.0))
    report.add("b.png", Ending(REFUSED, "/tmp/b.png: 3 bytes", 2.0, 1.0))
    report.add("c.png", Ending(ESCAPED, "KeyError: 'x'", 0.1, 900.0))
    text = report.text()
    assert "slowest: 2.00 s (b.png); most memory above the start: 900 MB (c.png)" in text
    assert "| PATH N bytes | 1 |" in text
    assert "c.png: EXCEPTION: KeyError: 'x'" in text


def test_the_command_keeps_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        session._Reader, "read", lambda self, kind, path: Ending(CRASHED, "the process died")
    )
    words = ["fuzz", "--files", "2", "--kind", "labels", "--keep", str(tmp_path / "kept")]
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    assert "| CRASHED | 2 |" in capsys.readouterr().out
    assert len(list((tmp_path / "kept").iterdir())) == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_prints_what_it_counted(
    number: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def third_is_interrupted(_reader: _Reader, _kind: str, path: Path) -> Ending:
        if path.name.startswith("damaged-2"):
            os.kill(os.getpid(), number)
        return Ending(ACCEPTED)

    monkeypatch.setattr(session._Reader, "read", third_is_interrupted)
    with pytest.raises(SystemExit) as caught:
        main(["fuzz", "--files", "9", "--kind", "labels", "--kind", "checkpoints"])
    assert caught.value.code == code
    shown = capsys.readouterr().out
    assert "3 damaged labels" in shown
    assert "checkpoints" not in shown
