"""`python -m benchmarks golden freeze|check`: metric values for continuous integration."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.metrics.build import build_scorer
from qualiclip_metric import golden as store

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command()
def freeze(
    *,
    metric: Annotated[str, typer.Option(help="As for run: lite, pyiqa:NAME, module:function, ...")],
    out: Annotated[Path, typer.Option(help="JSON file to write.")],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Largest difference that is no change.")
    ] = store.TOLERANCE,
    reason: Annotated[str, typer.Option(help="Why that tolerance.")] = store.REASON,
    image: Annotated[
        list[str] | None, typer.Option(help="Image name; default: all. May be repeated.")
    ] = None,
) -> None:
    """Score the known images and write their scores."""
    scorer = build_scorer(metric, device="cpu")
    golden = store.freeze(
        scorer.require_score(), out, name=metric, signature=scorer.signature, tolerance=tolerance,
        reason=reason, images=image,
    )  # fmt: skip
    for name, value in golden.scores.items():
        typer.echo(f"{value:.6f}  {name}")
    typer.echo(f"froze {len(golden.scores)} scores of {scorer.signature} in {out}", err=True)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Golden files.")],
    metric: Annotated[
        str | None, typer.Option(help="Check another metric than the file names.")
    ] = None,
) -> None:
    """Score again and compare; exit code 1 when a value moved."""
    failed = False
    for file in files:
        golden = store.load(file)
        scorer = build_scorer(metric or golden.metric, device="cpu")
        report = store.check(scorer.require_score(), golden, signature=scorer.signature)
        name = shlex.quote(metric or golden.metric)
        typer.echo(
            report.describe(f"python -m benchmarks golden freeze --metric {name} --out {file}")
        )
        failed |= not report.ok
    if failed:
        raise typer.Exit(1)
