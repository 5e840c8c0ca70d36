"""Options that several commands have, said once. Knows Typer, and no command."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Precision(str, Enum):
    """What `create` takes as precision."""

    fp32 = "fp32"
    bf16 = "bf16"


class Engine(str, Enum):
    """What `create` takes as engine."""

    torch = "torch"
    openvino = "openvino"
    auto = "auto"


ModelOption = Annotated[str, typer.Option(help="Registered name, or path of a checkpoint.")]
RecursiveOption = Annotated[bool, typer.Option(help="Enter the folders of folders.")]
PrecisionOption = Annotated[Precision, typer.Option(help="fp32 is the reference, bf16 is faster.")]
DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, mps.")]
PromptsOption = Annotated[
    Path | None, typer.Option(help="TOML file of antonym pairs to ask instead of the model's.")
]
