"""Table of the weights that are published outside this package.

`sha256` and `revision` pin a file. They are stated where they are known for certain. For QualiCLIP
and QualiCLIP+ they are not: their publishers state no digest, and this table was written where the
files could not be had. Those files are not pinned. They are read as tensors only, never as code; a
download from the hub is compared with the digest that the hub announces; and the signature of every
score holds a digest of the tensors that were used. To pin one, enter its digest and revision here.
"""

from dataclasses import dataclass

NONCOMMERCIAL = "CC BY-NC 4.0"
UNPINNED = "main"
"""Revision of a repository whose commit is not known."""
HUB_PREFIX = "hf://"
"""Begins the name of a user's model on the hub: `hf://user/name` or `hf://user/name@revision`."""


@dataclass(frozen=True)
class WeightsSource:
    """A place where a file is published: a repository of the Hugging Face hub, or a URL."""

    file: str
    repo: str | None = None  # on the Hugging Face hub, `user/name`
    revision: str = UNPINNED  # commit or branch
    url: str | None = None  # of files that are not on the hub
    sha256: str | None = None
    caches: tuple[str, ...] = ()  # where other programs keep it; `{torch}` is torch.hub's folder


@dataclass(frozen=True)
class Published:
    """Weights that are published outside this package."""

    sources: tuple[WeightsSource, ...]  # in the order in which they are tried
    licence: str
    title: str
    temperature: float = 2.0  # these checkpoints do not hold it


def _pyiqa_weights(file: str) -> WeightsSource:
    # sha256 and commit: not known
    return WeightsSource(
        file, repo="chaofengc/IQA-PyTorch-Weights", caches=(f"{{torch}}/pyiqa/{file}",)
    )


def _plus(dataset: str, file: str) -> Published:
    return Published((_pyiqa_weights(file),), NONCOMMERCIAL, f"QualiCLIP+, prompts for {dataset}")


# OpenAI's own address of the file contains its SHA-256.
_OPENAI_SHA256 = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"

PUBLISHED: dict[str, Published] = {
    "qualiclip": Published(
        sources=(
            _pyiqa_weights("QualiCLIP.pth"),
            WeightsSource(
                "qualiclip.pth",  # sha256: not known
                url="https://github.com/miccunifi/QualiCLIP/releases/download/weights/qualiclip.pth",
                caches=("{torch}/checkpoints/qualiclip.pth",),
            ),
        ),
        licence=NONCOMMERCIAL,
        title="QualiCLIP of the paper, RN50",
    ),
    "qualiclip+": _plus("KonIQ", "QualiCLIP+_koniq.pth"),
    "qualiclip+-clive": _plus("CLIVE", "QualiCLIP+_clive.pth"),
    "qualiclip+-flive": _plus("FLIVE", "QualiCLIP+_flive.pth"),
    "qualiclip+-spaq": _plus("SPAQ", "QualiCLIP+_spaq.pth"),
    "openai": Published(
        sources=(
            WeightsSource(
                "RN50.pt",
                url=f"https://openaipublic.azureedge.net/clip/models/{_OPENAI_SHA256}/RN50.pt",
                sha256=_OPENAI_SHA256,
                caches=("~/.cache/clip/RN50.pt", "{torch}/clip/RN50.pt"),
            ),
        ),
        licence="MIT",
        title="CLIP RN50 as OpenAI trained it, from which QualiCLIP is trained",
    ),
}
"""Name -> published weights."""


def pinned_digests() -> frozenset[str]:
    """SHA-256 of every file in the table whose digest is known."""
    sources = (source for entry in PUBLISHED.values() for source in entry.sources)
    return frozenset(source.sha256 for source in sources if source.sha256)
