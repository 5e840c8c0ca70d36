"""Options and arguments that several commands share: one name for one meaning."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class Precision(str, Enum):
    """Precisions that `create` takes."""

    fp32 = "fp32"
    bf16 = "bf16"
    auto = "auto"


class Engine(str, Enum):
    """Engines that `create` takes."""

    torch = "torch"
    openvino = "openvino"
    auto = "auto"


class Colour(str, Enum):
    """Treatments of colour that `images.read` takes."""

    srgb = "srgb"
    raw = "raw"


def out_option(what: str) -> Any:
    """Declare the option that says where results go: `--out`, also `--output` and `-o`."""
    return typer.Option("--out", "--output", "-o", help=what)


ImagesArgument = Annotated[
    list[str], typer.Argument(metavar="IMAGE", help="Image files, folders, patterns.")
]
ImagesOption = Annotated[
    list[str],
    typer.Option("--images", help="Folder, file, pattern or tar shards of photos; repeatable."),
]
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="Registered name, or path of a checkpoint.")
]
RecursiveOption = Annotated[bool, typer.Option(help="Enter the folders of folders.")]
PrecisionOption = Annotated[
    Precision,
    typer.Option("--precision", help="fp32 is the reference; auto takes bf16 where faster."),
]
EngineOption = Annotated[
    Engine,
    typer.Option(
        "--engine", help="torch (the reference), openvino, or auto: openvino if installed."
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="ADDRESS",
        help="Score on a Ray cluster: HOST:PORT, auto for this machine's, local to start one.",
    ),
]
CpusPerWorkerOption = Annotated[
    int, typer.Option("--cpus-per-worker", min=1, help="With --ray: cores of each worker.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device", help="Where to compute: cpu, cuda, cuda:1, mps; auto: a GPU if there is one."
    ),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option("--prompts", help="TOML file of antonym pairs to ask instead of the model's."),
]
BatchSizeOption = Annotated[
    int, typer.Option("--batch-size", min=1, help="Most images of one size at once.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Decoding threads; as many as cores, at most 8."),
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="Of everything that is drawn at random.")
]
MaxPixelsOption = Annotated[
    int,
    typer.Option("--max-pixels", min=1, help="A file whose header promises more is not decoded."),
]
ColourOption = Annotated[
    Colour,
    typer.Option(
        "--colour",
        help="srgb: by the file's colour profile, as viewers show it; raw: the file's numbers.",
    ),
]
TruncatedOption = Annotated[
    bool,
    typer.Option("--allow-truncated", help="Read files that end too early, grey at their end."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="All of it as JSON.")]
SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        help="Shorter side in px that larger images are reduced to before scoring, or native for "
        "none; default: the model's own.",
    ),
]
ReferenceOption = Annotated[
    Path | None,
    typer.Option(
        "--reference",
        help="Percentiles by this file of `qualiclip reference`; default: lite's everyday photos.",
    ),
]
