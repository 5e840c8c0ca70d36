"""CLIP's text tower against open_clip's model, and the learned prompts of QualiCLIP+."""

from collections.abc import Iterator

import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from open_clip.tokenizer import tokenize
from torch import Tensor

from qualiclip_metric.prompts import PROMPTS
from qualiclip_metric.text import clip as text


@pytest.fixture(scope="module")
def clip() -> Iterator[CLIP]:
    """A whole CLIP whose text side is RN50's in layout, smaller in depth and vocabulary."""
    patch = pytest.MonkeyPatch()
    patch.setattr(text, "LAYERS", 2)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIP(
            text.DIM,
            CLIPVisionCfg(image_size=32, layers=1, width=64, patch_size=32, head_width=64),
            CLIPTextCfg(context_length=77, vocab_size=49408, width=512, heads=8, layers=2),
            quick_gelu=True,
        )
    yield model.eval().requires_grad_(False)
    patch.undo()


@pytest.fixture(scope="module")
def state(clip: CLIP) -> dict[str, Tensor]:
    return {k: v for k, v in clip.state_dict().items() if not k.startswith(("visual", "logit"))}


def learner(state: dict[str, Tensor], std: float = 0.02) -> text.PromptLearner:
    module = text.PromptLearner()
    rng = torch.Generator().manual_seed(0)
    module.load_state_dict(text.initial_learner(state, rng, std=std))
    return module


def test_features_of_sentences_are_open_clips(clip: CLIP, state: dict[str, Tensor]) -> None:
    sentences = [sentence for pair in PROMPTS for sentence in pair]
    expected = clip.encode_text(tokenize(sentences)).reshape(7, 2, -1)
    torch.testing.assert_close(text.prompt_features(state), expected, atol=1e-5, rtol=1e-4)


def test_context_stands_half_before_and_half_behind_the_words(state: dict[str, Tensor]) -> None:
    module = learner(state)
    words = tokenize(["Noise-free image."])[0]
    count = int(words.argmax()) - 1
    row = module._embedded()[8]  # the fifth pair's positive prompt
    embedding = state["token_embedding.weight"]
    torch.testing.assert_close(row[1:9], module.ctx[8, :8])
    torch.testing.assert_close(row[9 : 9 + count], embedding[words[1 : 1 + count]])
    torch.testing.assert_close(row[9 + count : 17 + count], module.ctx[8, 8:])
    torch.testing.assert_close(row[17 + count], embedding[words[1 + count]])
    assert module.end[8] == 17 + count


def test_in_evaluation_the_text_tower_runs_once(state: dict[str, Tensor]) -> None:
    module = learner(state).eval()
    calls = []
    module.tower.register_forward_hook(lambda *_: calls.append(1))
    first, second = module(), module()
    assert first is second
    assert len(calls) == 1
    assert not first.requires_grad
    assert first.shape == (7, 2, text.DIM)


def test_in_training_the_context_learns_and_evaluation_follows(state: dict[str, Tensor]) -> None:
    module = learner(state).eval()
    before = module().clone()
    features = module.train()()
    features.square().sum().backward()
    assert module.ctx.grad is not None
    assert module.ctx.grad.abs().sum() > 0
    with torch.no_grad():
        module.ctx.sub_(module.ctx.grad.sign() * 0.05)
    after = module.eval()()
    assert (after - before).abs().max() > 1e-3


def test_loading_other_weights_forgets_the_kept_features(state: dict[str, Tensor]) -> None:
    module, other = learner(state).eval(), learner(state, std=0.5).eval()
    before = module().clone()
    module.load_state_dict(other.state_dict())
    torch.testing.assert_close(module(), other())
    assert (module() - before).abs().max() > 1e-3
