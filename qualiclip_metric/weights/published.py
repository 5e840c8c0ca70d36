"""Weights that are published outside the package: names, addresses, licences, digests."""

from dataclasses import dataclass

NONCOMMERCIAL = "CC BY-NC 4.0"


@dataclass(frozen=True)
class Source:
    """One place where a file is published: a hub repository, a plain address, or neither.

    Args:
        file: Name of the file.
        repo: Hugging Face hub repository that holds it.
        revision: Hub revision. `main` where no revision is known to pin.
        url: Plain address.
        origin: In words where the file comes from, where it has no address.
        sha256: Digest, where one is really known: then the publisher gives it. None: recorded on
            first use.
        caches: Where other programs keep the same file; `{torch}` is torch.hub's folder.
    """

    file: str
    repo: str | None = None
    revision: str = "main"
    url: str | None = None
    origin: str = ""
    sha256: str | None = None
    caches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """Weights that are published outside the package.

    Args:
        sources: Where the file is, in the order in which they are tried.
        licence: Licence of the weights.
        what: The model, in words.
        temperature: Of the softmax, where the checkpoint does not say; None: the checkpoint's.
    """

    sources: tuple[Source, ...]
    licence: str
    what: str
    temperature: float | None = 2.0


def _pyiqa_weights(file: str) -> Source:
    return Source(file, repo="chaofengc/IQA-PyTorch-Weights", caches=(f"{{torch}}/pyiqa/{file}",))


def _plus(labels: str, file: str) -> Published:
    return Published((_pyiqa_weights(file),), NONCOMMERCIAL, f"QualiCLIP+, prompts for {labels}")


_OPENAI_SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"

PUBLISHED: dict[str, Published] = {
    "qualiclip": Published(
        sources=(
            _pyiqa_weights("QualiCLIP.pth"),
            Source(
                "qualiclip.pth",
                url="https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth",
                caches=("{torch}/checkpoints/qualiclip.pth",),
            ),
        ),
        licence=NONCOMMERCIAL,
        what="QualiCLIP of the paper, RN50",
    ),
    "qualiclip+": _plus("KonIQ", "QualiCLIP+_koniq.pth"),
    "qualiclip+-clive": _plus("CLIVE", "QualiCLIP+_clive.pth"),
    "qualiclip+-flive": _plus("FLIVE", "QualiCLIP+_flive.pth"),
    "qualiclip+-spaq": _plus("SPAQ", "QualiCLIP+_spaq.pth"),
    "openai": Published(
        sources=(
            Source(
                "RN50.pt",
                url=f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/RN50.pt",
                sha256=_OPENAI_SHA256,
                caches=("~/.cache/clip/RN50.pt", "{torch}/clip/RN50.pt"),
            ),
        ),
        licence="MIT",
        what="CLIP RN50 as OpenAI trained it, where QualiCLIP starts",
    ),
    "lite@0.1": Published(
        sources=(
            Source(
                "lite-0.1.safetensors",
                origin="qualiclip_metric/data/lite.safetensors of this project's release 0.1.0",
                sha256="1b860009c03208ee7813464835f3dc846d46dac331a84a6cb81e71361f59dff3",
            ),
        ),
        licence="Apache-2.0",
        what="the model `lite` of release 0.1.0",
        temperature=None,
    ),
}
"""Name -> weights that are published. File sizes are the servers' to tell: none is known here."""
