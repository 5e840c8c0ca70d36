"""Export a model: ONNX, TorchScript, safetensors, pyiqa.

A model for another runtime is compared with torch in that runtime, at several sizes, before the
file gets its name.
"""

import io
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.jit._trace import TracerWarning

from qualiclip_metric import checkpoints
from qualiclip_metric.build import complete, create
from qualiclip_metric.checkpoints.own_format import header
from qualiclip_metric.extras import require
from qualiclip_metric.files import atomic_write
from qualiclip_metric.metric import QualiCLIP

EXAMPLE = (2, 3, 97, 131)
CHECKS = ((1, 3, 64, 64), (3, 3, 97, 131), (2, 3, 224, 160))
"""Shapes at which another runtime is compared with torch; they differ from the traced shape."""
TOLERANCE = 1e-4
OPSET = 17

Scorer = Callable[[Tensor], Tensor]


class ExportError(RuntimeError):
    """A model that came out wrong, or a runtime that is missing."""


def export(model: str | Path, out: str | Path, format: str) -> Path:
    """Write a model in another format.

    Args:
        model: A registered name, or a path.
        out: File to write; it appears whole and checked, or not at all.
        format: Key of `FORMATS`: `onnx` and `torchscript` take images (N, 3, H, W), RGB in [0, 1],
            of any N, H and W, and give scores (N, 1). `safetensors`, `safetensors-fp16` (half the
            size: the encoder is stored, not run, in fp16) and `pyiqa` are checkpoints.

    Returns:
        The path.

    Raises:
        ValueError: When the model or the format is unknown.
        ImportError: When the packages that the format needs are missing, with the cure.
        ExportError: When the other runtime's scores differ from torch's by more than 1e-4.
    """
    if format not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    FORMATS[format](model, Path(out))
    return Path(out)


def deviation(scorer: Scorer, metric: QualiCLIP) -> float:
    """Largest difference of the scores of random images, over the shapes of `CHECKS`."""
    rng = torch.Generator().manual_seed(0)
    worst = 0.0
    for shape in CHECKS:
        img = torch.rand(shape, generator=rng)
        with torch.no_grad():
            worst = max(worst, (scorer(img) - metric(img)).abs().max().item())
    return worst


def onnx_scorer(path: str | Path) -> Scorer:
    """Open an exported model in onnxruntime, on the CPU."""
    onnxruntime = require("onnxruntime", "export", "ONNX export")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda img: torch.from_numpy(session.run(None, {"image": img.numpy()})[0])


def _onnx(model: str | Path, out: Path) -> None:
    onnx = require("onnx", "export", "ONNX export")
    metric = _plain(model)
    facts = {**header(checkpoints.load(model)), "signature": str(metric.signature)}
    with atomic_write(out) as scratch:
        with warnings.catch_warnings():
            _silence_tracer()
            torch.onnx.export(
                metric,
                (torch.rand(EXAMPLE),),
                str(scratch),
                dynamo=False,  # sizes stay dynamic for both encoders; checked below
                opset_version=OPSET,
                input_names=["image"],
                output_names=["score"],
                dynamic_axes={"image": {0: "n", 2: "height", 3: "width"}, "score": {0: "n"}},
            )
        graph = onnx.load(scratch)
        onnx.helper.set_model_props(graph, facts)
        onnx.save(graph, str(scratch))
        _check(onnx_scorer(scratch), metric, "onnxruntime")


def _torchscript(model: str | Path, out: Path) -> None:
    metric = _plain(model)
    with atomic_write(out) as scratch, warnings.catch_warnings():
        _silence_tracer()
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            metric, torch.rand(EXAMPLE), check_trace=False
        )
        buffer = io.BytesIO()
        torch.jit.save(traced, buffer)
        scratch.write_bytes(buffer.getbuffer())  # torch, given a full disk, aborts the process
        loaded = torch.jit.load(str(scratch))  # type: ignore[no-untyped-call]
        _check(loaded, metric, "TorchScript")


def _plain(model: str | Path) -> QualiCLIP:
    metric = create(model)
    metric.to(memory_format=torch.contiguous_format)
    return metric


def _check(scorer: Scorer, metric: QualiCLIP, runtime: str) -> None:
    found = deviation(scorer, metric)
    if not found <= TOLERANCE:
        raise ExportError(
            f"{runtime} gives other scores than torch: they differ by {found:.2g}, more than "
            f"{TOLERANCE:g}; nothing was written"
        )


def _silence_tracer() -> None:
    """Ignore the tracer's warnings that checks of shapes become constants: they are meant to."""
    for category in (TracerWarning, DeprecationWarning, FutureWarning):
        warnings.simplefilter("ignore", category)


FORMATS: dict[str, Callable[[str | Path, Path], None]] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "safetensors": lambda model, out: checkpoints.save(complete(model), out),
    "safetensors-fp16": lambda model, out: checkpoints.save(complete(model), out, torch.float16),
    "pyiqa": lambda model, out: checkpoints.save_pyiqa(complete(model), out),
}
"""Format -> function that writes a model to a file."""
