"""pyiqa's no-reference metrics as scorers; parameter files in other formats are converted.

Two of pyiqa's parameter files cannot be downloaded everywhere, so ``pretrained_model_path``
also takes other common files of the same numbers:

- ``niqe``: an ``.npz`` with ``mu_pris_param`` and ``cov_pris_param`` (BasicSR's file) instead of
  MATLAB's ``mu_prisparam`` and ``cov_prisparam``;
- ``brisque``: the libsvm text file of the original release (``allmodel``) instead of a pickled
  pair of tensors.
"""

import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.metrics.scorer import MetricError, Options, Scorer, options_signature

_BRISQUE_RHO = "-153.591"
"""Bias of the original BRISQUE model, a constant in pyiqa: no other model can be used."""


def build_pyiqa(name: str, options: Options, device: torch.device) -> Scorer:
    """Wrap ``pyiqa.create_metric(name, **options)``; the direction is the one that pyiqa declares.

    Images go in one at a time: some of pyiqa's metrics give a batch other scores than its images.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third-party deprecations at import
            import pyiqa
            from pyiqa.default_model_configs import DEFAULT_CONFIGS
    except ImportError as err:
        raise MetricError(f"pyiqa:{name}: cannot import pyiqa: {err}") from err
    config = DEFAULT_CONFIGS.get(name)
    if config is None:
        raise MetricError(f"pyiqa:{name}: pyiqa {pyiqa.__version__} has no metric of that name")
    if config.get("metric_mode") != "NR":
        raise MetricError(f"pyiqa:{name} needs reference images; this harness has none")
    signature = f"pyiqa:{name}|pyiqa:{pyiqa.__version__}{options_signature(options)}"
    with tempfile.TemporaryDirectory() as folder:
        converted = _converted(name, options, Path(folder))
        metric = _create(pyiqa.create_metric, name, converted, device)

    def score(images: Tensor) -> Tensor:
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.as_tensor(metric(images)).flatten()

    net: Any = metric.net

    def differentiable(images: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            output = net(images)  # the metric around it turns gradients off
        return torch.as_tensor(output[0] if isinstance(output, tuple) else output).flatten()

    return Scorer(
        f"pyiqa:{name}", signature, bool(metric.lower_better), score,
        batched=False, device=device, differentiable=differentiable,
    )  # fmt: skip


def _create(
    create: Callable[..., torch.nn.Module], name: str, options: Options, device: torch.device
) -> torch.nn.Module:
    try:
        with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # it prints on stdout
            warnings.simplefilter("ignore")
            return create(name, device=device, **options)
    except Exception as err:
        reason = str(err).strip().splitlines()
        text = f"{type(err).__name__}: {reason[0][:200] if reason else ''}"
        raise MetricError(f"pyiqa:{name} cannot be built here: {text}") from err


def _converted(name: str, options: Options, folder: Path) -> Options:
    """Options with the parameter file in the format that pyiqa reads."""
    path = options.get("pretrained_model_path")
    if not isinstance(path, str):
        return options
    source = Path(path)
    if not source.is_file():
        raise MetricError(f"pyiqa:{name}: no parameter file {source}")
    if name.startswith("niqe") and source.suffix == ".npz":
        return {**options, "pretrained_model_path": str(_niqe_mat(source, folder))}
    if name == "brisque" and source.read_bytes()[:8] == b"svm_type":
        return {**options, "pretrained_model_path": str(_brisque_pair(source, folder))}
    return options


def _niqe_mat(source: Path, folder: Path) -> Path:
    """NIQE's pristine statistics: BasicSR's npz -> MATLAB names."""
    from scipy.io import savemat

    with np.load(source) as arrays:
        lacking = {"mu_pris_param", "cov_pris_param"} - set(arrays.files)
        if lacking:
            raise MetricError(
                f"{source}: no {', '.join(sorted(lacking))}; found {', '.join(arrays.files)}"
            )
        content = {
            "mu_prisparam": arrays["mu_pris_param"],
            "cov_prisparam": arrays["cov_pris_param"],
        }
    target = folder / "niqe.mat"
    savemat(target, content)
    return target


def _brisque_pair(source: Path, folder: Path) -> Path:
    """BRISQUE's support vectors: libsvm text -> (coefficients, vectors), as pyiqa pickles them."""
    head, _, body = source.read_text().partition("SV\n")
    header = dict(line.split(" ", 1) for line in head.splitlines() if " " in line)
    if header.get("rho") != _BRISQUE_RHO or header.get("gamma") != "0.05":
        raise MetricError(
            f"{source} is another BRISQUE model (rho {header.get('rho')}, gamma "
            f"{header.get('gamma')}); pyiqa's constants fit the original's rho {_BRISQUE_RHO}"
        )
    rows = [line.split() for line in body.splitlines() if line.strip()]
    coefficients = torch.tensor([float(row[0]) for row in rows])
    vectors = torch.zeros(len(rows), 36)
    for index, row in enumerate(rows):
        for cell in row[1:]:
            feature, value = cell.split(":")
            vectors[index, int(feature) - 1] = float(value)
    target = folder / "brisque.pth"
    torch.save((coefficients, vectors), target)
    return target
