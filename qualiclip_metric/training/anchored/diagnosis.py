"""The diagnosis of an anchored model: versions of whole photos -> features -> a calibrated head.

The head is fitted to what it will see: the pooled features as they are scored and the descriptors
of whole photos at the scoring size. `fault_photos` photos give the fit, without a fault and with
two versions of each; other `calibration_photos` give the temperature and the prior of no fault.
No human score takes part.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss
from torch.utils.data import DataLoader, Dataset

from qualiclip_metric.diagnosis import DESCRIPTORS, FARTHEST, NONE, DiagnosisHead, descriptors
from qualiclip_metric.distortions import DISTORTIONS, FAULT_OF, FAULTS, LEVELS, LINKS, distort
from qualiclip_metric.encoders.lite import LiteEncoder
from qualiclip_metric.resize import reduced
from qualiclip_metric.training import photos as files
from qualiclip_metric.training.anchored.config import AnchoredConfig
from qualiclip_metric.training.anchored.features import Sources
from qualiclip_metric.training.anchored.pieces import Pieces
from qualiclip_metric.training.data import generator, use_one_thread
from qualiclip_metric.training.photos import Photo

TYPES = tuple(
    name for fault in FAULTS for name in (*DISTORTIONS, *LINKS) if FAULT_OF.get(name) == fault
)
"""Types and links that have a fault, in the order of `FAULTS`; each is a class of the head."""
CLASSES = (NONE, *(FAULT_OF[name] for name in TYPES))
"""Fault of each class."""
VERSIONS = 2
"""Versions of a photo with each fault."""
LEAST_LEVEL, LEAST_STRENGTH = 2, 0.35
"""Mildest level of a type and strength of a link: people hardly see milder ones."""

SETTINGS = ("seed", "fault_photos", "calibration_photos", "fault_penalty", "false_alarms")
"""Settings that the diagnosis depends on, beside the scoring size."""

_PURPOSE = 42  # of the generators
_POOLED_SHARE = 0.3  # the 432 features are penalised 1 / .3^2 times as much as the descriptors
_PHOTOS_PER_PIECE = 16


@dataclass(frozen=True)
class VersionTable:
    """Features of versions of photos.

    Args:
        inputs: Pooled features, then descriptors.
        label: Place in `CLASSES`.
        fits: Whether the head is fitted to the row; it is calibrated on the others.
    """

    inputs: Float[Tensor, "n inputs"]
    label: Int[Tensor, " n"]
    fits: Tensor


class VersionDataset(Dataset[dict[str, Tensor]]):
    """Photos by number, each with its versions; they depend on the seed and the number alone."""

    def __init__(self, photos: Sequence[Photo], config: AnchoredConfig) -> None:
        self.config = config
        order = torch.randperm(len(photos), generator=generator(config.seed, 0, _PURPOSE))
        self.photos = [photos[place] for place in order.tolist()]
        # of few photos, a quarter is left for the calibration
        self.fitted = min(config.fault_photos, max(1, 3 * len(photos) // 4))
        self.count = min(len(photos), self.fitted + config.calibration_photos)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        photo = files.read(self.photos[number])[None]
        photo = reduced(photo, self.config.scoring_size)
        rng = generator(self.config.seed, 1 + number, _PURPOSE)
        fits = number < self.fitted
        # one fault at random tells the calibration what the fit is told by all of them
        drawn = VERSIONS * FAULTS if fits else (FAULTS[_index(len(FAULTS), rng)],)
        made = [(photo, 0)] + [_version(photo, fault, rng) for fault in drawn]
        # rounded to 8 bits, as in a file
        images = (torch.cat([image for image, _ in made]) * 255).round() / 255
        return {
            "images": images,
            "described": descriptors(images),
            "label": torch.tensor([label for _, label in made]),
            "fits": torch.full((len(made),), fits),
        }


def _version(photo: Tensor, fault: str, rng: torch.Generator) -> tuple[Tensor, int]:
    """A version of a photo with a fault, and its class."""
    names = [name for name in TYPES if FAULT_OF[name] == fault]
    name = names[_index(len(names), rng)]
    if name in DISTORTIONS:
        level = LEAST_LEVEL + _index(LEVELS - LEAST_LEVEL + 1, rng)
        worse = distort(photo, name, level, rng)
    else:
        strength = LEAST_STRENGTH + (1 - LEAST_STRENGTH) * float(torch.rand((), generator=rng))
        with torch.no_grad():
            worse = LINKS[name].apply(photo, strength, rng).clamp(0, 1)
    return worse, 1 + TYPES.index(name)


def _index(count: int, rng: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=rng))


def collect_versions(
    encoder: LiteEncoder,
    photos: Sequence[Photo],
    config: AnchoredConfig,
    sources: Sources,
    folder: Path,
    progress: Callable[[int, int], None],
) -> VersionTable:
    """Compute the part of the table that is not on disk yet, and return the whole.

    Args:
        encoder: With the weighted pooling that scores.
        photos: Pristine photos.
        config: Settings.
        sources: Digests of the photos and of the weights.
        folder: Of the table.
        progress: Called with the numbers of photos done and in all.

    Raises:
        ValueError: When the folder holds a table of other settings, photos or weights.
    """
    values = config.to_dict()
    settings = ("scoring_size", *SETTINGS[:3])  # the last two are those of the fit
    pieces = Pieces(folder, {name: values[name] for name in settings} | dict(sources))
    data = VersionDataset(photos, config)
    piece = pieces.missing()
    done = min(len(data), piece * _PHOTOS_PER_PIECE)
    pending: list[dict[str, Tensor]] = []
    for row in _read_ahead(data, done):
        with torch.no_grad():
            pooled, _ = encoder.pooled_and_features(row.pop("images"))
        row["inputs"] = torch.cat([pooled, row.pop("described")], dim=1)
        pending.append(row)
        done += 1
        if len(pending) == _PHOTOS_PER_PIECE or done == len(data):
            pieces.save(piece, {k: torch.cat([one[k] for one in pending]) for k in pending[0]})
            piece, pending = piece + 1, []
        progress(done, len(data))
    return VersionTable(**pieces.load())


def _read_ahead(data: VersionDataset, first: int) -> Iterator[dict[str, Tensor]]:
    loader: DataLoader[Any] = DataLoader(
        data,
        batch_size=None,
        sampler=range(first, len(data)),
        num_workers=data.config.workers,
        worker_init_fn=use_one_thread,
    )
    yield from loader


def fit_diagnosis(
    table: VersionTable, config: AnchoredConfig
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Fit the head, its temperature, and the prior of no fault.

    Classes weigh so that no fault and each fault have the same part, whatever their rows.

    Args:
        table: Of all versions.
        config: `fault_penalty`, the weight of the squared norm; `false_alarms`, the share of the
            calibration's undegraded photos that may get the name of a fault.

    Returns:
        The tensors of a `DiagnosisHead` for `CLASSES`; and its `temperature` and `prior`, the share
        of undegraded images at which the probabilities are calibrated.
    """
    fitted, label = table.inputs[table.fits].double(), table.label[table.fits]
    mean, std = fitted.mean(dim=0), fitted.std(dim=0).clamp(min=1e-4)
    scale = torch.ones(len(mean)).double()
    scale[: -len(DESCRIPTORS)] = _POOLED_SHARE
    inputs = ((fitted - mean) / std).clamp(-FARTHEST, FARTHEST) * scale
    weight, bias = _logistic(inputs, label, _balanced(label), config.fault_penalty)
    head = {"mean": mean, "std": std, "weight": weight * scale, "bias": bias}
    return _calibrated(head, table, config.false_alarms)


def _balanced(label: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Weight of each row, so that no fault and every fault have equal sums; the sum is 1."""
    names = (NONE, *FAULTS)
    group = torch.tensor([names.index(name) for name in CLASSES])[label]
    weight = 1 / torch.bincount(group, minlength=len(names)).double()[group]
    return weight / weight.sum()


def _logistic(
    inputs: Float[Tensor, "n inputs"],
    label: Int[Tensor, " n"],
    share: Float[Tensor, " n"],
    penalty: float,
) -> tuple[Tensor, Tensor]:
    """Multinomial logistic regression with a penalty on the squared norm, by L-BFGS in fp64."""
    weight = torch.zeros(len(CLASSES), inputs.shape[1]).double().requires_grad_()
    bias = torch.zeros(len(CLASSES)).double().requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=200, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        each = cross_entropy(inputs @ weight.T + bias, label, reduction="none")
        total: Tensor = (share * each).sum() + penalty / 2 * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    solver.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _calibrated(
    head: dict[str, Tensor], table: VersionTable, false_alarms: float
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Divide the logits by a temperature, then raise the bias of `none`.

    The temperature is the one of the highest likelihood. The prior of no fault is the lowest at
    which at most the share `false_alarms` of the undegraded photos have a likelier fault.
    """
    rest = ~table.fits if (~table.fits).any() else table.fits  # of one photo, all there is
    label = table.label[rest]
    inputs = table.inputs[rest].double()
    pooled, described = inputs[:, : -len(DESCRIPTORS)], inputs[:, -len(DESCRIPTORS) :]
    names = (NONE, *FAULTS)
    group = torch.tensor([names.index(name) for name in CLASSES])[label]
    share = _balanced(label)

    def cooled(temperature: float) -> dict[str, Tensor]:
        return head | {"weight": head["weight"] / temperature, "bias": head["bias"] / temperature}

    def log_shares(tensors: dict[str, Tensor]) -> Tensor:
        shares: Tensor = DiagnosisHead(CLASSES, tensors)(pooled, described)
        return shares.clamp(min=1e-12).log()

    def loss(temperature: float) -> float:
        each = nll_loss(log_shares(cooled(temperature)), group, reduction="none")
        return float((share * each).sum())

    temperature = min((1.05**power for power in range(-20, 31)), key=loss)
    best = cooled(temperature)
    found = log_shares(best)[group == 0]
    excess = (found[:, 1:].amax(dim=1) - found[:, 0]).sort().values
    allowed = int(false_alarms * len(excess))
    offset = float(excess[max(0, len(excess) - 1 - allowed)])
    raised = best["bias"].clone()
    raised[CLASSES.index(NONE)] += offset
    odds = math.exp(offset)  # of no fault to each fault; 1 before
    facts = {"temperature": temperature, "prior": odds / (odds + len(FAULTS))}
    tensors = {name: tensor.float() for name, tensor in (best | {"bias": raised}).items()}
    return tensors, facts
