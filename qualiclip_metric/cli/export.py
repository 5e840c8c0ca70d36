"""`qualiclip export`: a model for another runtime."""

from pathlib import Path
from typing import Annotated

import typer

from qualiclip_metric.cli.terminal import DATA_ERROR, fail


def export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write.")],
    *,
    model: Annotated[str, typer.Option("--model", "-m", help="Name or checkpoint.")] = "lite",
    format_: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="onnx, torchscript, safetensors, safetensors-fp16 or pyiqa."
        ),
    ],
) -> None:
    """Write a model for another runtime, checked there against torch at three sizes.

    ONNX and TorchScript take RGB in [0, 1], (N, 3, H, W) of any N, H and W. `pyiqa` is a file for
    its `metric.load_weights(OUT)`.
    """
    from qualiclip_metric.checkpoints import WeightsError
    from qualiclip_metric.export import ExportError
    from qualiclip_metric.export import export as write

    try:
        write(model, out, format_)
    except ValueError as err:
        fail(err)
    except (ExportError, WeightsError, OSError) as err:
        fail(err, DATA_ERROR)
    typer.echo(out)
