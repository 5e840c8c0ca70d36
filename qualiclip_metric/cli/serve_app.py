"""`qualiclip app`: a page on this machine to drop photos on."""

from importlib.util import find_spec
from typing import Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    DeviceOption,
    Engine,
    EngineOption,
    ModelOption,
    Precision,
    PrecisionOption,
    PromptsOption,
    ReferenceOption,
    SizeOption,
)
from qualiclip_metric.cli.terminal import fail

NEEDED = ("gradio", "matplotlib")


def serve_app(
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Port; else the first free one from 7860."),
    ] = None,
    max_upload: Annotated[
        int, typer.Option("--max-upload", min=1, help="Largest photo that is accepted, MB.")
    ] = 100,
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    model: ModelOption = "lite",
    prompts: PromptsOption = None,
    size: SizeOption = None,
    precision: PrecisionOption = Precision.auto,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
    reference: ReferenceOption = None,
) -> None:
    """Open a page to drop photos on: scores, faults and where they are, two photos compared.

    It runs on this machine and loads nothing from a network. Ctrl-C ends it and removes the dropped
    photos. The address is on stdout.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise ImportError(
            f"the app needs {' and '.join(missing)}: pip install 'qualiclip-metric[app]'"
        )
    from qualiclip_metric.app.server import private_folder, serve
    from qualiclip_metric.reference import reference_for

    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    assert metric.signature is not None  # `create` made it
    try:
        percentiles = reference_for(metric.signature.of_files("srgb"), reference)
    except (ValueError, OSError) as err:
        fail(err)

    def ready(address: str) -> None:
        typer.echo(address)
        typer.echo("Ctrl-C ends it and removes the dropped photos", err=True)
        if show:
            typer.launch(address)

    with private_folder() as folder:
        try:
            serve(
                metric,
                percentiles,
                folder,
                host=host,
                port=port,
                max_bytes=max_upload * 10**6,
                ready=ready,
            )
        except OSError as err:
            fail(err)
        except KeyboardInterrupt:
            typer.echo("closed", err=True)
