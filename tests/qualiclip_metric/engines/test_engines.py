"""Engines give the feature maps of the modules that their layer graphs were made from."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from qualiclip_metric import create, engines
from qualiclip_metric.distortions import distort
from qualiclip_metric.encoders import ENCODERS, Encoder
from qualiclip_metric.engines import (
    DTYPES,
    ENGINES,
    choose_engine,
    choose_precision,
    convolution,
    strips,
)
from qualiclip_metric.engines.layers import Conv, LayerGraph, Residual, Stage
from qualiclip_metric.engines.processor import has_bf16_instructions
from qualiclip_metric.engines.rounding import to_bf16
from qualiclip_metric.engines.strips import StripEngine

SIZES = [(32, 32), (97, 131), (96, 64), (211, 65)]
WHOLE = 10**9
CPU = torch.device("cpu")


def calibrated(name: str) -> Encoder:
    """Random weights, and statistics that leave every feature map with values of all sizes."""
    rng = torch.Generator().manual_seed(0)
    encoder = ENCODERS[name](())
    with torch.no_grad():
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.normal_(0, fan**-0.5, generator=rng)
                if module.bias is not None:
                    module.bias.uniform_(0, 0.5, generator=rng)
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(0, 0.2, generator=rng)
                module.running_var.uniform_(0.5, 1.5, generator=rng)
    return encoder.eval().requires_grad_(False)


@pytest.fixture(scope="module", params=sorted(ENCODERS))
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return calibrated(request.param)


@pytest.fixture(scope="module")
def graph(encoder: Encoder) -> LayerGraph:
    return encoder.layer_graph()


def image(n: int, height: int, width: int) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(1))


def relative(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> float:
    assert [f.shape for f in found] == [e.shape for e in expected]
    pairs = zip(found, expected, strict=True)
    return max(((f.float() - e).norm() / e.norm()).item() for f, e in pairs)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("strip_pixels", [WHOLE, 4_000, 1], ids=["whole", "strips", "thin strips"])
def test_strips_give_the_modules_feature_maps(
    encoder: Encoder, graph: LayerGraph, size: tuple[int, int], strip_pixels: int
) -> None:
    img = image(2, *size)
    engine = StripEngine(graph, torch.float32, CPU, strip_pixels)
    assert relative(engine(img), encoder.maps(img)) < 2e-5


@pytest.mark.parametrize("strip_pixels", [WHOLE, 4_000])
def test_strips_without_fused_operations(
    encoder: Encoder, graph: LayerGraph, strip_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "has_fused_operations", lambda *_: False)
    img = image(1, 97, 131)
    engine = StripEngine(graph, torch.float32, CPU, strip_pixels)
    assert relative(engine(img), encoder.maps(img)) < 2e-5


def test_strips_in_bf16_are_near(encoder: Encoder, graph: LayerGraph) -> None:
    img = image(1, 97, 131)
    (found, *_) = StripEngine(graph, torch.bfloat16, CPU, 4_000)(img)
    # Without instructions for bf16, the rounded weights are multiplied in fp32.
    assert found.dtype == (torch.bfloat16 if has_bf16_instructions() else torch.float32)
    assert 0 < relative((found,), encoder.maps(img)[:1]) < 0.05


def test_bf16_is_computed_in_fp32_where_the_processor_lacks_it(
    encoder: Encoder, graph: LayerGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "has_bf16_instructions", lambda: False)
    img = image(1, 65, 90)
    found = StripEngine(graph, torch.bfloat16, CPU)(img)
    assert {one.dtype for one in found} == {torch.float32}
    assert 0 < relative(found, encoder.maps(img)) < 0.05


class Sizes(TorchDispatchMode):
    """The largest tensor that comes out of any operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self.largest = max(self.largest, out.numel())
        return out


def test_a_large_image_takes_the_memory_of_a_strip(graph: LayerGraph) -> None:
    def largest(strip_pixels: int) -> int:
        engine = StripEngine(graph, torch.float32, CPU, strip_pixels)
        engine(img)  # the first call for a size lays out the weights, which are no image
        with Sizes() as sizes:
            engine(img)
        return sizes.largest

    img = image(1, 1024, 128)
    assert 4 * largest(64 * 128) < largest(WHOLE)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_gives_the_modules_feature_maps(
    encoder: Encoder, graph: LayerGraph, precision: str
) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    engine = ENGINES["openvino"](graph, DTYPES[precision], CPU)
    limit = {"fp32": 2e-5, "bf16": 0.1}[precision]
    for size in SIZES if precision == "fp32" else SIZES[:2]:  # bf16 may be emulated, slowly
        img = image(2, *size)
        assert relative(engine(img), encoder.maps(img)) < limit


def test_openvino_computes_a_large_batch_in_calls_of_bounded_size(
    lite: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    from qualiclip_metric.engines import openvino

    sizes = []
    compute = openvino.OpenVINOEngine._feature_maps

    def count(self: openvino.OpenVINOEngine, img: Tensor) -> tuple[Tensor, ...]:
        sizes.append(len(img))
        return compute(self, img)

    monkeypatch.setattr(openvino.OpenVINOEngine, "_feature_maps", count)
    monkeypatch.setattr(openvino, "CALL_PIXELS", 2 * 64 * 96 + 1)
    engine = openvino.OpenVINOEngine(lite.layer_graph(), torch.float32)
    batch, large = image(5, 64, 96), image(1, 160, 224)
    assert relative(engine(batch), lite.maps(batch)) < 2e-5
    assert relative(engine(large), lite.maps(large)) < 2e-5
    assert sizes == [2, 2, 1, 1]


@pytest.mark.parametrize(("threads", "cores", "pinned"), [(1, 2, False), (2, 2, True)])
def test_openvino_pins_its_threads_only_where_it_has_all_cores(
    lite: Encoder, threads: int, cores: int, pinned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    from qualiclip_metric.engines import openvino

    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(openvino.os, "cpu_count", lambda: cores)
    given: list[bool] = []
    core = openvino._core()

    class Core:
        def compile_model(self, model: object, device: str, options: dict[str, object]) -> object:
            given.append(bool(options["ENABLE_CPU_PINNING"]))
            return core.compile_model(model, device, options)

    monkeypatch.setattr(openvino, "_core", Core)
    openvino.OpenVINOEngine(lite.layer_graph(), torch.float32)(image(1, 64, 64))
    assert set(given) == {pinned}


@pytest.mark.parametrize("size", [None, (160, 224)], ids=["any size", "tiles"])
def test_openvino_computes_in_fp32_what_a_graph_keeps(size: tuple[int, int] | None) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    if not has_bf16_instructions():
        pytest.skip("the processor has no instructions for bf16")
    from qualiclip_metric.engines import openvino

    graph = calibrated("lite").layer_graph()
    count = graph.fp32_stages * (openvino.TILES if size else 1)
    model = openvino.trunk_model(graph, torch.bfloat16, size)
    request = openvino.compiled(model, torch.bfloat16)
    request.infer([image(1, 160, 224).numpy()])
    nodes = [op.get_rt_info() for op in request.get_compiled_model().get_runtime_model().get_ops()]
    found = Counter(
        node["runtimePrecision"].astype(str)
        for node in nodes
        if node["layerType"].astype(str) == "Convolution"
    )
    assert set(found) == {"f32", "bf16"}
    assert found["f32"] == count > 0


def test_rounded_weights_keep_what_they_add_up_to(graph: LayerGraph) -> None:
    for conv in convolutions([stage for part in graph.parts for stage in part]):
        rounded = to_bf16(conv)
        for tensor in (rounded.weight, rounded.bias):
            assert torch.equal(tensor.bfloat16().float(), tensor)
        step = conv.weight.abs().amax(dim=(1, 2, 3)) * 2**-7
        assert ((rounded.weight - conv.weight).abs().amax(dim=(1, 2, 3)) <= step).all()
        exact, nearest = (c.weight.sum(dim=(1, 2, 3)) + c.bias for c in (conv, _nearest(conv)))
        kept = rounded.weight.sum(dim=(1, 2, 3)) + rounded.bias
        assert (kept - exact).abs().mean() < 0.5 * (nearest - exact).abs().mean()


def convolutions(stages: Sequence[Stage]) -> list[Conv]:
    found: list[Conv] = []
    for stage in stages:
        if isinstance(stage, Conv):
            found.append(stage)
        elif isinstance(stage, Residual):
            found += [*convolutions(stage.branch), *convolutions(stage.shortcut), stage.last]
    return found


def _nearest(conv: Conv) -> Conv:
    return replace(conv, weight=conv.weight.bfloat16().float(), bias=conv.bias.bfloat16().float())


def test_openvino_leaves_huge_images_to_strips(
    lite: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    from qualiclip_metric.engines import openvino

    engine = ENGINES["openvino"](lite.layer_graph(), torch.bfloat16, CPU)
    img = image(1, 64, 96)
    assert engine(img)[0].dtype == torch.float32
    monkeypatch.setattr(openvino, "MAX_PIXELS", 64 * 96 - 1)
    in_strips = engine(img)
    assert in_strips[0].dtype == (torch.bfloat16 if has_bf16_instructions() else torch.float32)
    assert relative(in_strips, lite.maps(img)) < 0.1
    with pytest.raises(ValueError, match="fp32 or bf16"):
        ENGINES["openvino"](lite.layer_graph(), torch.float16, CPU)


DROPPED_BY_A_THREAD = """
import gc, os, signal, threading, torch
from qualiclip_metric import create, engines
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
held = [create("lite", engine="openvino")]
held[0](torch.rand(1, 3, 64, 64))
dropping = threading.Thread(target=lambda: (held.clear(), gc.collect()))
dropping.start()
dropping.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="OpenVINO changes signal stacks on Linux only")
def test_openvino_dropped_by_a_thread_leaves_signals_handled() -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    command = [sys.executable, "-c", DROPPED_BY_A_THREAD]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "handled"), ran.stderr


class Spy:
    """Counts how often an engine is made and used in place of the modules."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made, self.used = 0, 0
        monkeypatch.setitem(ENGINES, "torch", self.make)

    def make(
        self, graph: LayerGraph, dtype: torch.dtype, device: torch.device
    ) -> Callable[..., object]:
        self.made += 1
        engine = StripEngine(graph, dtype, device)

        def use(img: Tensor) -> tuple[Tensor, ...]:
            self.used += 1
            return engine(img)

        return use


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.fixture
def lite() -> Encoder:
    return calibrated("lite")


IMG = image(1, 64, 96)


def test_an_engine_is_made_once_and_follows_the_weights(lite: Encoder, spy: Spy) -> None:
    before = lite(IMG)
    assert torch.equal(lite(IMG), before)
    assert (spy.made, spy.used) == (1, 2)
    lite.trunk.conv_stem.weight.mul_(2.0)
    changed = lite(IMG)
    assert (spy.made, spy.used) == (2, 3)
    torch.testing.assert_close(changed, lite.features(lite.maps(IMG)), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed, before, rtol=1e-2)
    other = calibrated("lite")
    other.trunk.conv_stem.weight.mul_(-1.0)
    lite.load_state_dict(other.state_dict())
    assert torch.equal(lite(IMG), other(IMG))


def test_modules_compute_where_a_gradient_is_asked_for(lite: Encoder, spy: Spy) -> None:
    img = IMG.clone().requires_grad_(True)
    lite(img).sum().backward()
    assert img.grad is not None and img.grad.abs().sum() > 0
    assert spy.used == 0
    lite.requires_grad_(True)
    assert lite(IMG).requires_grad
    assert spy.used == 0
    with torch.no_grad():
        lite(IMG)
    assert spy.used == 1


def test_modules_compute_in_training_under_autocast_and_for_hooks(lite: Encoder, spy: Spy) -> None:
    lite.train()(IMG)
    lite.eval()
    with torch.autocast("cpu", torch.bfloat16):
        lite(IMG)
    seen = []
    handle = lite.last_stage.register_forward_hook(lambda *args: seen.append(args[-1].shape))
    lite(IMG)
    assert seen == [(1, 320, 2, 3)]
    assert spy.used == 0
    handle.remove()
    lite(IMG)
    assert spy.used == 1
    lite.trunk.double()  # a precision that no engine has
    assert lite.maps(IMG)[0].dtype == torch.float64
    assert spy.used == 1


def test_openvino_scores_as_torch_does_and_says_so() -> None:
    pytest.importorskip("openvino", reason="extra openvino is not installed")
    metric, other = create("lite"), create("lite", engine="openvino")
    img = image(2, 160, 224)
    assert (metric(img) - other(img)).abs().max() < 1e-4
    assert str(metric.signature).replace("engine:torch", "engine:openvino") == str(other.signature)
    img.requires_grad_(True)
    other(img).sum().backward()
    assert img.grad is not None and img.grad.abs().sum() > 0


def test_auto_takes_openvino_where_it_is_and_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(found: bool) -> None:
        spec = object() if found else None
        monkeypatch.setattr("qualiclip_metric.engines.find_spec", lambda _: spec)

    installed(True)
    assert choose_engine("auto", CPU) == "openvino"
    assert choose_engine("auto", torch.device("cuda")) == "torch"
    with pytest.raises(ValueError, match="cuda"):
        choose_engine("openvino", torch.device("cuda"))
    installed(False)
    assert choose_engine("auto", CPU) == "torch"
    with pytest.raises(ImportError, match=r"\[openvino\]"):
        choose_engine("openvino", CPU)
    with pytest.raises(ValueError, match="tpu"):
        choose_engine("tpu", CPU)


@pytest.mark.parametrize("instructions", [True, False])
def test_auto_takes_bf16_where_it_is_faster(
    instructions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qualiclip_metric.engines.has_bf16_instructions", lambda: instructions)
    expected = "bf16" if instructions else "fp32"
    assert choose_precision("auto", CPU) == expected
    assert create("lite", precision="auto").signature.precision == expected  # type: ignore[union-attr]
    assert create("lite").signature.precision == "fp32"  # type: ignore[union-attr]
    cuda = torch.device("cuda")
    for capability, chosen in (((9, 0), "bf16"), ((7, 5), "fp32")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, c=capability: c)
        assert choose_precision("auto", cuda) == chosen
    assert choose_precision("auto", torch.device("mps")) == "fp32"
    with pytest.raises(ValueError, match="fp8"):
        choose_precision("fp8", CPU)


def test_bf16_that_is_not_faster_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qualiclip_metric.engines.has_bf16_instructions", lambda: False)
    engines._warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="faster") as warned:
        assert create("lite", precision="bf16").signature.precision == "bf16"  # type: ignore[union-attr]
        create("lite", precision="bf16")
    assert len(warned) == 1
    assert warned[0].filename == __file__


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bf16_does_not_take_a_blurred_photo_of_lite_for_a_sharper_one(engine: str) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino", reason="extra openvino is not installed")
    data = pytest.importorskip("skimage.data")
    photo = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1)[None].float() / 255
    blurred = distort(photo, "lensblur", 3, torch.Generator().manual_seed(0))
    exact, fast = create("lite"), create("lite", precision="bf16", engine=engine)
    assert 0 < (fast(blurred) - exact(blurred)).abs() < 0.03
