"""`python -m benchmarks speed`: our engines and their peer, in turn, each in its own process."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.cli import int8
from benchmarks.cli._console import message
from benchmarks.cli._options import JsonOut, size_of
from benchmarks.reference.seeded import write_official
from benchmarks.speed import cpu_seconds, first, measurements, memory, path, tables
from benchmarks.speed.decoding import decoders, decoding_text
from benchmarks.speed.machine import ISAS, isa_environment, machine
from benchmarks.speed.measurements import Session
from benchmarks.speed.photos import photos
from qualiclip_metric import create
from qualiclip_metric.files import write_text

PARTS: dict[str, tuple[Callable[[Session], Any], Callable[[Any], str]]] = {
    "imports": (measurements.imports, tables.imports_text),
    "limit": (measurements.limit, tables.limit_text),
    "precision": (measurements.precision, tables.precision_text),
    "lite": (measurements.lite, tables.lite_text),
    "large": (measurements.large, tables.large_text),
    "network": (measurements.network, tables.network_text),
}
"""Part of the benchmark, by the name that `--only` takes -> measurement, and its text."""

IN_WORKERS = ("lite", "large", "network")
"""Parts whose figures all come from workers, so that `--isa` holds for them."""

app = typer.Typer(help="Seconds per image and memory.", rich_markup_mode=None)
app.command("int8")(int8.app)

PhotoFolders = Annotated[
    list[Path] | None,
    typer.Option("--images", help="Folder of photos; default: made for the occasion. Repeatable."),
]


@app.callback(invoke_without_command=True)
def speed(
    context: typer.Context,
    *,
    out: JsonOut = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="In qualiclip.pth's layout; a seeded one unless given.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every scorer.")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Part: {', '.join(PARTS)}. May be repeated.")
    ] = None,
    isa: Annotated[
        str,
        typer.Option(
            help=f"Instruction sets, by commas: {', '.join(ISAS)}. A table of each; other than "
            f"native for {', '.join(IN_WORKERS)}."
        ),
    ] = "native",
) -> None:
    """Seconds per image and peak memory against pyiqa's own QualiCLIP on the same checkpoint.

    Prints, per cell, the ratio and whether it passes or falls short of its target.
    """
    if context.invoked_subcommand:
        return
    sets = list(dict.fromkeys(isa.split(",")))
    wanted = _wanted(only, sets)
    environments = {name: isa_environment(name) for name in sets}
    report: dict[str, Any] = {"machine": machine(), "rounds": rounds}
    report["note"] = f"Measured by the speed command on {report['machine']['cpu']}."
    with tempfile.TemporaryDirectory() as folder:
        weights = checkpoint or write_official(Path(folder) / "QualiCLIP.pth")
        for name, environment in environments.items():
            held = report if name == "native" else report.setdefault("isa", {}).setdefault(name, {})
            typer.echo(f"{report['machine']['cpu']}, {os.cpu_count()} cores, {_isa(environment)}\n")
            session = Session(weights, rounds, environment, message)
            for part in wanted:
                measure, text = PARTS[part]
                held[part] = measure(session)
                typer.echo(text(held[part]))
                if out is not None:  # what is measured is kept, whatever comes after
                    write_text(out, json.dumps(report, indent=1) + "\n")


def _wanted(only: list[str] | None, sets: list[str]) -> list[str]:
    """Parts to measure, in the order of the table."""
    unknown = sorted(set(only or []) - PARTS.keys())
    if unknown:
        raise ValueError(f"--only: expected {', '.join(PARTS)}, got {', '.join(unknown)}")
    limited = sets != ["native"]
    chosen = set(only or (IN_WORKERS if limited else PARTS))
    if limited and (outside := sorted(chosen - set(IN_WORKERS))):
        raise ValueError(
            f"--isa holds for workers alone: expected --only {', '.join(IN_WORKERS)}, got "
            f"{', '.join(outside)}"
        )
    return [part for part in PARTS if part in chosen]


def _isa(environment: dict[str, str]) -> str:
    values = " ".join(f"{key}={value}" for key, value in environment.items())
    return f"held to {values}" if values else "all its instructions"


@app.command("cpu")
def cpu(
    *,
    model: Annotated[str, typer.Option(help="Architecture: lite, rn50.")] = "lite",
    size: Annotated[
        list[str] | None, typer.Option(help="HEIGHTxWIDTH, may be repeated; default: 512x512.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Calls of each engine, in turns.")] = 5,
) -> None:
    """CPU time of one thread per image, by the modules and by every engine.

    For machines that others use, too. ONEDNN_MAX_CPU_ISA holds torch's engine to an instruction
    set, as `--isa` does.
    """
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    typer.echo(f"{machine()['cpu']}, {_isa({'ONEDNN_MAX_CPU_ISA': limit} if limit else {})}\n")
    sizes = [size_of(text) for text in size or ["512x512"]]
    typer.echo(cpu_seconds.table(cpu_seconds.measure(model, sizes, rounds)))


@app.command("path")
def from_files(
    *,
    images: PhotoFolders = None,
    count: Annotated[int, typer.Option(min=16, help="Most photos.")] = 500,
    model: Annotated[
        list[str] | None, typer.Option(help="lite, a checkpoint, rn50-seeded. May be repeated.")
    ] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="fp32, bf16; default: both. May be repeated.")
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(
            help="For lite in one precision; a larger model has half of it. Fewer photos "
            "are taken where all would not fit twice."
        ),
    ] = 65,
) -> None:
    """Images per second of the bare network and of the whole path from files to scores."""
    typer.echo(f"{machine()['cpu']}, {os.cpu_count()} cores")
    with photos(images or [], count) as files, tempfile.TemporaryDirectory() as scratch:
        typer.echo(decoding_text(decoders(files, min(8, os.cpu_count() or 1))))
        for name in model or path.MODELS:
            weights = path.weights_of(name, Path(scratch))
            is_lite = name == "lite"
            for kind in precision or ("fp32", "bf16"):
                result = path.measure(
                    create(weights, precision=kind),
                    files,
                    seconds=seconds if is_lite else seconds / 2,
                    command=["--precision", kind] if is_lite else (),
                )
                typer.echo("\n".join(path.rows(f"{name} {kind}", result)))


@app.command("training")
def training_speed(
    *,
    images: PhotoFolders = None,
    config: Annotated[
        list[Path] | None, typer.Option(help="Training settings of `lite`. May be repeated.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Most photos per step.")] = 2,
    steps: Annotated[int, typer.Option(min=2, help="Steps of each kind.")] = 4,
) -> None:
    """Crops per second of pipeline and network, a step's split, and each distortion's time."""
    from benchmarks.speed import training  # needs the extra `train`, the other commands do not
    from qualiclip_metric.training import TrainConfig

    typer.echo(f"{machine()['cpu']}, {os.cpu_count()} cores")
    with photos(images or [], 24) as files:
        for file in config or training.CONFIGS:
            settings = TrainConfig.read(file)
            result = training.measure(settings, files, batch_size=batch_size, steps=steps)
            typer.echo("\n".join(training.rows(file.name, result)))
    typer.echo("\n".join(training.type_rows(training.types())))


@app.command("ray")
def ray_speed(
    *,
    images: PhotoFolders = None,
    count: Annotated[
        int, typer.Option(min=16, help="Images beside the command, and then twice as many.")
    ] = 192,
    rounds: Annotated[int, typer.Option(min=0, help="Turns of each; 0 leaves them out.")] = 1,
    nodes: Annotated[
        str, typer.Option(help="Nodes of the simulated clusters, by commas; empty leaves them out.")
    ] = "1,2",
    actors: Annotated[int, typer.Option(min=1, help="Workers of each simulated node.")] = 8,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.001, help="Sleep for each image; default: lite's CPU time, measured."),
    ] = None,
    last: Annotated[float, typer.Option(help="Seconds that each simulated cluster works.")] = 10,
) -> None:
    """Scoring on Ray beside the plain command, its overhead, and simulated clusters.

    1 and 2 workers of a thread each, and the plain command with as many threads, on photos in tar
    shards; the start-up is left out. The simulated nodes are processes of this machine, whose
    workers sleep where a network would compute. 64 workers take some 8 GB.
    """
    from benchmarks.speed import on_ray, simulated  # these need the extra `ray`

    sizes = [int(text) for text in nodes.split(",") if text]
    # Ray's own 15 would starve its workers beside the processes that they are compared with
    os.environ.setdefault("RAY_worker_niceness", "0")
    typer.echo(f"{machine()['cpu']}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if rounds:
        with photos(images or [], min(count, first.MADE)) as files:
            for row in on_ray.against_plain(files, count, rounds=rounds):
                typer.echo(str(row))
    typer.echo(f"Ray's overhead: {1e3 * simulated.overhead():.2f} ms an image from tar shards")
    if sizes:
        each = simulated.network_seconds() if seconds is None else seconds
        typer.echo(f"simulated: {1e3 * each:.1f} ms an image and worker, {actors} workers a node")
        for cluster in simulated.curve(sizes, actors, each, last):
            typer.echo(str(cluster))


@app.command("memory")
def memory_of_score(
    *,
    paths: Annotated[
        list[int] | None,
        typer.Option(min=1, help="How many; default: 1000 and 200000. May be repeated."),
    ] = None,
    out: Annotated[
        str, typer.Option(help="Name of the results, as `qualiclip score --out` takes it.")
    ] = "scores.csv",
) -> None:
    """Resident size of `qualiclip score` for few and for many paths, and their ratio."""
    typer.echo(f"{machine()['cpu']}, {os.cpu_count()} cores; --out {out}")
    typer.echo(memory.text(memory.measure(paths or [1000, 200_000], out)))


@app.command("first")
def first_scores(
    *,
    count: Annotated[
        list[int] | None,
        typer.Option(min=1, help="How many photos; default: 1, 100 and 10000. May be repeated."),
    ] = None,
    images: PhotoFolders = None,
    engine: Annotated[str, typer.Option(help="As `qualiclip score` takes it.")] = "auto",
    precision: Annotated[str, typer.Option(help="As `qualiclip score` takes it.")] = "auto",
) -> None:
    """Seconds from a command's start to its end: `--help`, and scores of so many photos."""
    typer.echo(f"{machine()['cpu']}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    options = ["--engine", engine, "--precision", precision]
    typer.echo(first.text(first.measure(count or [1, 100, 10_000], images or [], options)))
