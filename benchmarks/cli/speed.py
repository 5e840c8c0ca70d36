"""`python -m benchmarks speed`: our engines and pyiqa's class in turns, and whole commands."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import message
from benchmarks.cli._options import Engine, EngineOption, Model, Precision, PrecisionOption
from benchmarks.reference.seeded import write_official
from benchmarks.speed import first, on_ray, peer, pipeline
from benchmarks.speed.machine import machine_text
from benchmarks.speed.photos import photos
from qualiclip_metric import create

app = typer.Typer(
    help="Seconds per image, memory and images per second.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

PhotoFolders = Annotated[
    list[Path] | None,
    typer.Option("--images", help="Folder of photos; default: made at run time. Repeatable."),
]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="Turns of every measurement.")]


@app.command("peer")
def against_peer(
    *,
    checkpoint: Annotated[
        Path | None, typer.Option(help="File in qualiclip.pth's layout; default: a seeded one.")
    ] = None,
    rounds: Rounds = 3,
) -> None:
    """Compare the RN50 tower's seconds and memory with pyiqa's own QualiCLIP, against targets.

    The environment variables ONEDNN_MAX_CPU_ISA and ATEN_CPU_CAPABILITY restrict the instruction
    set of torch and OpenVINO.
    """
    typer.echo(f"{machine_text()}\n")
    with tempfile.TemporaryDirectory() as folder:
        weights = checkpoint or write_official(Path(folder) / "QualiCLIP.pth")
        found = peer.compare_with_peer(weights, rounds, message)
    typer.echo(peer.ratio_table(found))
    typer.echo(peer.seconds_table(found))


@app.command("lite")
def lite_rates(*, rounds: Rounds = 3) -> None:
    """Images per second of `lite`: every engine and precision, alone and in batches."""
    typer.echo(f"{machine_text()}\n")
    typer.echo(peer.lite_table(peer.time_lite(rounds, message)))


@app.command("first")
def first_scores(
    *,
    count: Annotated[
        list[int] | None,
        typer.Option(min=1, help="How many photos; default: 1, 100 and 10000. May be repeated."),
    ] = None,
    images: PhotoFolders = None,
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = Precision.auto,
) -> None:
    """Time and memory of whole commands: `qualiclip --help`, and scores of so many photos."""
    typer.echo(f"{machine_text()}\n")
    options = ["--engine", engine.value, "--precision", precision.value]
    timings = first.time_commands(count or [1, 100, 10_000], images or [], options)
    typer.echo(first.commands_table(timings))


@app.command("pipeline")
def files_against_network(
    *,
    images: PhotoFolders = None,
    count: Annotated[int, typer.Option(min=1, help="Most photos; all are held decoded.")] = 100,
    model: Model = "lite",
    engine: EngineOption = Engine.auto,
    precision: PrecisionOption = Precision.auto,
    rounds: Rounds = 3,
) -> None:
    """Images per second from files to scores, against the bare network on decoded batches."""
    typer.echo(f"{machine_text()}\n")
    metric = create(model, engine=engine, precision=precision)
    with photos(images or [], count) as files:
        typer.echo(f"{metric.signature}: {pipeline.time_pipeline(metric, files, rounds)}")


@app.command("ray")
def ray_against_plain(
    *,
    images: PhotoFolders = None,
    count: Annotated[
        int, typer.Option(min=16, help="Images of the shorter run; the longer has twice as many.")
    ] = 384,
    rounds: Rounds = 1,
) -> None:
    """Images per second of `score --ray` and of the plain command with as many threads."""
    typer.echo(f"{machine_text()}\n")
    # Ray's default of 15 would starve its workers beside the processes that they are compared with
    os.environ.setdefault("RAY_worker_niceness", "0")
    with photos(images or [], min(count, first.MADE)) as files:
        typer.echo(on_ray.rates_table(on_ray.compare_with_ray(files, count, rounds=rounds)))
