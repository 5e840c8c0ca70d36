"""QualiCLIP as a torchmetrics metric, by the library's own habits; no test depends on `lite`."""

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from qualiclip_metric import create
from qualiclip_metric.metric import QualiCLIP

pytest.importorskip("torchmetrics", reason="torchmetrics, an extra of its own, is missing")

from torchmetrics import MetricCollection
from torchmetrics.image import TotalVariation

from qualiclip_metric.torchmetrics import QualiCLIPScore, qualiclip_score

REDUCTIONS = pytest.mark.parametrize("reduction", ["mean", "none"])


def batches() -> list[Tensor]:
    """Three batches of 2, 3 and 1 images, whose scores differ."""
    rng = torch.Generator().manual_seed(0)
    contrast = torch.linspace(0.05, 1, 6)[:, None, None, None]
    return list((contrast * torch.rand(6, 3, 40, 48, generator=rng)).split([2, 3, 1]))


def expected(model: QualiCLIP, reduction: str) -> Tensor:
    scores = model(torch.cat(batches()))[:, 0]
    return scores.mean() if reduction == "mean" else scores


@REDUCTIONS
@pytest.mark.parametrize("on_step", [False, True])
def test_forward_is_update_and_compute(tiny: QualiCLIP, reduction: Any, on_step: bool) -> None:
    metric = QualiCLIPScore(tiny, reduction, dist_sync_on_step=on_step)
    for batch in batches():
        alone = QualiCLIPScore(tiny, reduction)
        alone.update(batch)
        torch.testing.assert_close(metric(batch), alone.compute(), atol=0, rtol=0)
        functional = qualiclip_score(batch, tiny, reduction)
        torch.testing.assert_close(functional.flatten(), alone.compute().flatten())
    torch.testing.assert_close(metric.compute(), expected(tiny, reduction))
    assert expected(tiny, "none").unique().numel() == 6


@REDUCTIONS
def test_no_image_has_no_score(tiny: QualiCLIP, reduction: Any) -> None:
    metric = QualiCLIPScore(tiny, reduction)
    with (
        pytest.warns(UserWarning, match="update"),
        pytest.raises(ValueError, match="at least one image"),
    ):
        metric.compute()
    metric.update(torch.zeros(0, 3, 40, 40))
    with pytest.raises(ValueError, match="at least one image"):
        metric.compute()
    with pytest.raises(ValueError, match="at least one image"):
        qualiclip_score(torch.zeros(0, 3, 40, 40), tiny)


@REDUCTIONS
def test_pickling_keeps_states_and_model(random_lite: Path, reduction: Any) -> None:
    metric = QualiCLIPScore(create(random_lite), reduction)
    metric.update(batches()[0])
    for copy in (pickle.loads(pickle.dumps(metric)), metric.clone()):
        copy.update(batches()[1])
        assert copy.signature == metric.signature
        wanted = qualiclip_score(torch.cat(batches()[:2]), metric.model, reduction)
        torch.testing.assert_close(copy.compute(), wanted, atol=1e-5, rtol=0)
    assert str(metric.signature).startswith("model:lite|weights:")
    again = QualiCLIPScore(random_lite, reduction)
    again.load_state_dict(metric.state_dict())


class Restorer(nn.Module):
    """A network with the metric that evaluates it, as a LightningModule has it."""

    def __init__(self, metric: nn.Module | None) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.metric = metric


def test_the_model_is_not_in_checkpoints(random_lite: Path) -> None:
    before = Restorer(None).state_dict()
    module = Restorer(QualiCLIPScore(random_lite))
    assert module.state_dict().keys() == before.keys()
    assert module.load_state_dict(before) == ([], [])
    scored = QualiCLIPScore(random_lite)(batches()[0])
    torch.testing.assert_close(module.metric(batches()[0]), scored, atol=0, rtol=0)  # type: ignore[misc]


def test_the_model_is_in_checkpoints_if_asked(random_lite: Path) -> None:
    state = Restorer(QualiCLIPScore(random_lite, save_model=True)).state_dict()
    assert "metric.model.text.features" in state
    state["metric.model.text.features"] = state["metric.model.text.features"].flip(1)
    module = Restorer(QualiCLIPScore(random_lite))
    before = module.metric(batches()[0])  # type: ignore[misc]
    assert module.load_state_dict(state) == ([], [])
    after = module.metric(batches()[0])  # type: ignore[misc]
    torch.testing.assert_close(after, 1 - before, atol=1e-5, rtol=0)


def test_a_metric_made_in_inference_mode_can_be_a_loss(random_lite: Path) -> None:
    with torch.inference_mode():
        metric = QualiCLIPScore(random_lite)
    img = batches()[0].requires_grad_()
    metric(img).backward()
    assert img.grad is not None


def test_in_a_collection_beside_other_metrics(tiny: QualiCLIP) -> None:
    own: dict[str, Any] = {"mean": QualiCLIPScore(tiny), "each": QualiCLIPScore(tiny, "none")}
    collection = MetricCollection({**own, "variation": TotalVariation()})
    for batch in batches():
        values = collection(img=batch)
        assert values["each"].numel() == len(batch)
    values = collection.compute()
    assert set(values) == {"mean", "each", "variation"}
    torch.testing.assert_close(values["mean"], expected(tiny, "mean"))
    torch.testing.assert_close(values["each"], expected(tiny, "none"))


@REDUCTIONS
def test_the_gradient_reaches_the_image_and_not_the_weights(
    random_lite: Path, reduction: Any
) -> None:
    metric = QualiCLIPScore(random_lite, reduction).train()
    img = (1.5 * batches()[0]).requires_grad_()  # a network in training overshoots
    (1 - metric(img)).mean().backward()
    assert img.grad is not None and img.grad.abs().sum() > 0
    assert all(weight.grad is None for weight in metric.parameters())
    metric(img)
    states = metric.metric_state.values()
    for state in [one for held in states for one in (held if isinstance(held, list) else [held])]:
        assert not state.requires_grad  # or the graphs of all batches would stay in memory
    assert not metric.compute().requires_grad


def test_the_model_stays_in_evaluation_mode(random_lite: Path) -> None:
    metric = QualiCLIPScore(random_lite)
    before = qualiclip_score(batches()[0], metric.model)
    nn.ModuleList([metric]).train()
    assert metric.training
    assert not any(module.training for module in metric.model.modules())
    assert not any(weight.requires_grad for weight in metric.parameters())
    torch.testing.assert_close(metric(batches()[0]), before)


def test_a_model_in_training_is_refused(tiny: QualiCLIP) -> None:
    with pytest.raises(ValueError, match="evaluation mode"):
        QualiCLIPScore(tiny.train())
    with pytest.raises(ValueError, match="frozen"):
        QualiCLIPScore(tiny.eval().requires_grad_())
    assert next(tiny.parameters()).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_scored_in_fp32(tiny: QualiCLIP, dtype: torch.dtype) -> None:
    img = batches()[1].to(dtype)
    metric = QualiCLIPScore(tiny)
    score = metric(img)
    assert score.dtype == metric.compute().dtype == torch.float32
    torch.testing.assert_close(score, tiny(img.float()).mean(), atol=0, rtol=0)
    metric.half()  # torchmetrics: nothing happens without set_dtype
    torch.testing.assert_close(metric(img), score, atol=0, rtol=0)


def test_rounded_weights_are_refused(tiny: QualiCLIP) -> None:
    inside = nn.ModuleList([QualiCLIPScore(tiny)]).half()
    with pytest.raises(ValueError, match="float16"):
        inside[0].update(batches()[0])


NAN = torch.full((1, 3, 40, 40), float("nan"))
REFUSED = [
    (torch.zeros(1, 3, 40, 40, dtype=torch.uint8), "uint8"),
    (torch.full((1, 3, 40, 40), -1.7), "not normalised"),
    (NAN, "nan"),
    (torch.zeros(1, 1, 40, 40), "grey"),
]


@REDUCTIONS
@pytest.mark.parametrize(("img", "message"), REFUSED, ids=[text for _, text in REFUSED])
def test_no_garbage_is_scored_or_counted(
    tiny: QualiCLIP, reduction: Any, img: Any, message: str
) -> None:
    metric = QualiCLIPScore(tiny, reduction)
    metric.update(batches()[0])
    for call in (metric.update, metric, lambda img: qualiclip_score(img, tiny, reduction)):
        with pytest.raises(ValueError, match=message):
            call(img)
    metric(batches()[1])
    wanted = qualiclip_score(torch.cat(batches()[:2]), tiny, reduction)
    torch.testing.assert_close(metric.compute(), wanted)


def test_wrong_arguments_are_refused(tiny: QualiCLIP) -> None:
    wrong: Any = "sum"
    with pytest.raises(ValueError, match="reduction"):
        QualiCLIPScore(tiny, wrong)
    with pytest.raises(ValueError, match="reduction"):
        qualiclip_score(batches()[0], tiny, wrong)
    with pytest.raises(ValueError, match="temperature"):
        QualiCLIPScore(tiny, temperature=1.0)


def test_plot(tiny: QualiCLIP, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    metric = QualiCLIPScore(tiny)
    steps = [metric(batch[:1]) for batch in batches()]
    for value in (None, steps):
        figure, axes = metric.plot(value)
        low, high = axes.get_ylim()
        assert low <= 0 and high >= 1 and axes.get_ylabel() == "QualiCLIPScore"
        pyplot.close(figure)


ONE_OF_TWO = """
import sys, torch
from datetime import timedelta
from qualiclip_metric.torchmetrics import QualiCLIPScore
folder, rank = sys.argv[1], int(sys.argv[2])
torch.distributed.init_process_group(
    "gloo", f"file://{folder}/meeting", timedelta(minutes=2), rank=rank, world_size=2
)
model = torch.load(f"{folder}/model.pt", weights_only=False)
shares, found = torch.load(f"{folder}/shares.pt", weights_only=True), {}
for reduction in ("mean", "none"):
    for name, share in shares.items():
        metric = QualiCLIPScore(model, reduction)
        own = [metric(batch) for batch in share[rank]]
        found[name, reduction] = metric.compute()
        if own:  # the states are this process's own again
            metric.update(share[rank][0])
            found[name, reduction, "more"] = metric.compute()
        else:
            metric.update(torch.zeros(0, 3, 40, 48))
            metric.compute()
torch.save({"found": found}, f"{folder}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


Found = list[dict[tuple[str, ...], Tensor]]


@pytest.fixture(scope="module")
def small() -> QualiCLIP:
    """A metric of torch's own modules, which any process can unpickle."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AvgPool2d(9, 9), nn.Flatten())
        prompts = torch.randn(7, 2, 8 * 4 * 5)
    return QualiCLIP(encoder, prompts, temperature=10.0).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def two_processes(small: QualiCLIP, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Results of this process and another (gloo) with uneven shares, or with all in one."""
    folder = tmp_path_factory.mktemp("processes")
    torch.save(small, folder / "model.pt")
    first, second, third = batches()
    shares = {"uneven": [[first, second], [third]], "idle": [[first, second, third], []]}
    torch.save(shares, folder / "shares.pt")
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    with (
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", ONE_OF_TWO, str(folder), "1"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        ) as other,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["-c", str(folder), "0"])
        try:
            exec(ONE_OF_TWO, {})
        finally:
            said = other.communicate()[1]
    assert other.returncode == 0, said
    return [torch.load(folder / f"{rank}.pt", weights_only=True)["found"] for rank in range(2)]


@REDUCTIONS
@pytest.mark.parametrize("share", ["uneven", "idle"])
def test_two_processes_give_the_value_of_one(
    two_processes: Found,
    small: QualiCLIP,
    share: str,
    reduction: Any,
) -> None:
    wanted = expected(small, reduction)
    for found in two_processes:
        torch.testing.assert_close(found[share, reduction], wanted, atol=1e-5, rtol=0)


def test_states_are_the_processes_own_after_compute(two_processes: Found, small: QualiCLIP) -> None:
    """Each process has added its first batch once more; the images of process 0 come first."""
    first, second, third = batches()
    wanted = small(torch.cat([first, second, first, third, third]))[:, 0]
    for found in two_processes:
        each = found["uneven", "none", "more"]
        torch.testing.assert_close(each, wanted, atol=1e-5, rtol=0)
        mean = found["uneven", "mean", "more"]
        torch.testing.assert_close(mean, wanted.mean(), atol=1e-5, rtol=0)


def test_without_torchmetrics_the_import_names_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "qualiclip_metric.torchmetrics")
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ImportError, match=r"\[torchmetrics\]"):
        importlib.import_module("qualiclip_metric.torchmetrics")
