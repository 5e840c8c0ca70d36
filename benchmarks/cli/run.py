"""`python -m benchmarks run`: scores on disk, the summary on stdout, progress on stderr."""

from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from benchmarks.cli._options import AllowOutside
from benchmarks.datasets import SPECS, Dataset, load, parse
from benchmarks.metrics.build import build, display_name
from benchmarks.metrics.scorer import MetricError, Scorer
from benchmarks.results import summary
from benchmarks.results.store import Busy
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings

_err = Console(stderr=True, highlight=False, soft_wrap=True)


def run(
    *,
    metric: Annotated[
        list[str],
        typer.Option(
            help="lite, qualiclip, a checkpoint, sharpness, jpegsize, pyiqa:NAME, module:function "
            "or table:FILE.csv; options follow as ,key=value. May be repeated."
        ),
    ],
    dataset: Annotated[
        list[str],
        typer.Option(help="[LABEL:]NAME[=FOLDER] or [LABEL:]csv=FILE. May be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    allow_missing: Annotated[
        bool, typer.Option(help="Run on the images that are there, as a subset.")
    ] = False,
    allow_outside: AllowOutside = False,
    short_side: Annotated[
        int | None, typer.Option(min=16, help="Resize the short side; default: native size.")
    ] = None,
    customary: Annotated[
        bool, typer.Option(help="Use each dataset's customary short side (SPAQ: 448).")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Most same-size images at once.")] = 8,
    workers: Annotated[
        int, typer.Option(min=0, help="Decoding threads per job; 0 decodes in line.")
    ] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Scoring processes.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="torch threads per job; default: cores / jobs.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="torch device.")] = None,
    precision: Annotated[str, typer.Option(help="fp32 or bf16, for our models.")] = "fp32",
    retry_failed: Annotated[bool, typer.Option(help="Score again the images that failed.")] = False,
    resamples: Annotated[
        int, typer.Option(min=0, help="Bootstrap resamples of the summary; 0: none.")
    ] = 10_000,
    splits: Annotated[int, typer.Option(min=0, help="Random splits of the summary.")] = 10,
) -> None:
    """Score datasets with metrics. Only what is missing is computed; a killed run resumes."""
    if customary and short_side is not None:
        raise ValueError("--customary and --short-side exclude each other")
    requests = [parse(text) for text in dataset]
    labels = [request.label for request in requests]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"dataset label(s) {', '.join(twice)} given twice; name them: LABEL:NAME=FOLDER"
        )
    sets = [
        load(request, allow_missing=allow_missing, allow_outside=allow_outside)
        for request in requests
    ]
    built = {text: _build(text, device, precision) for text in dict.fromkeys(metric)}
    outcomes: list[runner.Outcome] = []
    try:
        for one in sets:
            side = SPECS[one.spec].short_side if customary and one.spec in SPECS else short_side
            _note_resolution(one, side)
            frame = runner.prepare(one, out)
            summary.note_unavailable(out, one.name, _reasons(built))
            for text, scorer in built.items():
                if isinstance(scorer, str):
                    continue
                settings = Settings(text, device, precision, side, workers, jobs, threads)
                with _Bar() as bar:
                    outcome = runner.run(
                        scorer, settings, one, frame, out,
                        batch_size=batch_size, retry_failed=retry_failed, progress=bar,
                    )  # fmt: skip
                _tell(one, outcome)
                outcomes.append(outcome)
    except Busy as err:
        raise ValueError(str(err)) from err
    except KeyboardInterrupt:
        _err.print("interrupted; what is scored is kept, the same command goes on from there")
        raise typer.Exit(130) from None
    if not any(outcome.computed for outcome in outcomes):
        _err.print("nothing to compute: every score was there already")
    typer.echo(summary.write_summary(out, summary.Statistics(resamples=resamples, splits=splits)))
    if any(outcome.failed for outcome in outcomes) or not outcomes:
        raise typer.Exit(1)


def _build(text: str, device: str | None, precision: str) -> Scorer | str:
    """The scorer, or the reason why there is none."""
    try:
        return build(text, device=device, precision=precision)
    except MetricError as err:
        _err.print(f"left out: {err}")
        return str(err)


def _reasons(built: dict[str, Scorer | str]) -> dict[str, str | None]:
    return {
        display_name(text): scorer if isinstance(scorer, str) else None
        for text, scorer in built.items()
    }


def _note_resolution(one: Dataset, side: int | None) -> None:
    spec = SPECS.get(one.spec)
    if spec is not None and spec.short_side not in (None, side):
        _err.print(
            f"note: {one.name} is customarily scored at short side {spec.short_side} "
            f"(--customary); this run: {runner.resolution(side)}"
        )


def _tell(one: Dataset, outcome: runner.Outcome) -> None:
    failed = f", {outcome.failed} failed" if outcome.failed else ""
    _err.print(
        f"{outcome.key.metric} on {one.label}: {outcome.computed} computed, "
        f"{outcome.reused} reused{failed}"
    )


class _Speed(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} images/s")


class _Bar:
    """A progress bar on stderr for one metric on one dataset."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Speed(),
            TimeRemainingColumn(), console=_err, transient=True, disable=not _err.is_terminal,
        )  # fmt: skip
        self._task = TaskID(0)

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def start(self, dataset: str, metric: str, total: int, done: int) -> None:
        """Begin."""
        self._task = self._progress.add_task(f"{metric} on {dataset}", total=total, completed=done)

    def advance(self, images: int) -> None:
        """Some images more."""
        self._progress.advance(self._task, images)

    def finish(self) -> None:
        """Through."""
        self._progress.refresh()


app = run
