"""Weights that others publish: names, addresses, licences, digests. Data only; does nothing."""

from dataclasses import dataclass

NONCOMMERCIAL = "CC BY-NC 4.0"


@dataclass(frozen=True)
class Source:
    """One place where a file is published.

    Args:
        url: Address; `{hub}` stands for the Hugging Face hub or its mirror.
        file: Name under which the file is kept.
        sha256: Digest, where one is really known: then the publisher gives it. None: recorded on
            first use.
        repo: Hub repository, for its cache.
        revision: Hub revision. `main` where no revision is known to pin.
        caches: Where other programs keep the same file; `{torch}` is torch.hub's folder.
    """

    url: str
    file: str
    sha256: str | None = None
    repo: str | None = None
    revision: str = "main"
    caches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """Weights that others publish: where, under which licence, for which temperature."""

    sources: tuple[Source, ...]
    licence: str
    what: str
    temperature: float = 2.0


def _pyiqa_weights(file: str) -> Source:
    repo = "chaofengc/IQA-PyTorch-Weights"
    url = f"{{hub}}/{repo}/resolve/main/{file.replace('+', '%2B')}"
    return Source(url, file, repo=repo, caches=(f"{{torch}}/pyiqa/{file}",))


def _plus(labels: str, file: str) -> Published:
    return Published((_pyiqa_weights(file),), NONCOMMERCIAL, f"QualiCLIP+, prompts for {labels}")


_OPENAI_SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"

PUBLISHED: dict[str, Published] = {
    "qualiclip": Published(
        sources=(
            _pyiqa_weights("QualiCLIP.pth"),
            Source(
                "https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth",
                "qualiclip.pth",
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
                f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/RN50.pt",
                "RN50.pt",
                sha256=_OPENAI_SHA256,
                caches=("~/.cache/clip/RN50.pt", "{torch}/clip/RN50.pt"),
            ),
        ),
        licence="MIT",
        what="CLIP RN50 as OpenAI trained it, where QualiCLIP starts",
    ),
}
"""Name -> weights that can be fetched. File sizes are the servers' to tell: none is known here."""
