"""`python -m benchmarks run`: scores on disk, the summary on stdout, progress on stderr."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.cli import message
from benchmarks.cli._options import (
    AllowMissing,
    AllowOutside,
    Datasets,
    Device,
    OptionalResamples,
    Precision,
    PrecisionOption,
    RequiredMetricSpecs,
)
from benchmarks.datasets import SPECS, Dataset, load, parse
from benchmarks.metrics.build import build_scorer, display_name
from benchmarks.metrics.scorer import MetricError, Scorer
from benchmarks.results.store import Busy
from benchmarks.results.summary import Statistics, note_unavailable, write_summary
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings
from qualiclip_metric.cli.options import CpusPerWorkerOption, RayOption
from qualiclip_metric.progress import Progress, progress_bar


def run(
    *,
    metric: RequiredMetricSpecs,
    dataset: Datasets,
    out: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    allow_missing: AllowMissing = False,
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
    ray: RayOption = None,
    cpus_per_worker: CpusPerWorkerOption = 1,
    device: Device = None,
    precision: PrecisionOption = Precision.fp32,
    retry_errors: Annotated[
        bool, typer.Option("--retry-errors", help="Score again the images that failed.")
    ] = False,
    metric_timeout: Annotated[
        float | None,
        typer.Option(
            min=1, help="Stop a metric that finishes no batch in so many seconds; default: wait."
        ),
    ] = None,
    resamples: OptionalResamples = 10_000,
    splits: Annotated[int, typer.Option(min=0, help="Random splits of the summary.")] = 10,
) -> None:
    """Score datasets with metrics. Only what is missing is computed; a killed run resumes.

    A metric that cannot be built, fails or is stopped is a row of the summary with its reason; the
    others are scored, and the exit code is 1.
    """
    if customary and short_side is not None:
        raise ValueError("--customary and --short-side exclude each other")
    if ray is not None and (jobs > 1 or threads is not None or metric_timeout is not None):
        raise ValueError(
            "--ray sizes its workers by --cpus-per-worker: leave out --jobs, --threads and "
            "--metric-timeout"
        )
    threads = threads if ray is None else cpus_per_worker
    sets = _load(dataset, allow_missing=allow_missing, allow_outside=allow_outside)
    built = {text: _build(text, device, precision.value) for text in dict.fromkeys(metric)}
    results: list[runner.RunResult] = []
    try:
        for one in sets:
            side = SPECS[one.spec].short_side if customary and one.spec in SPECS else short_side
            _note_resolution(one, side)
            frame = runner.prepare(one, out)
            note_unavailable(out, one.name, _reasons(built))
            for text, scorer in built.items():
                if isinstance(scorer, str):
                    continue
                settings = Settings(
                    text, device, precision.value, side, workers, jobs, threads,
                    metric_timeout, ray,
                )  # fmt: skip
                with ExitStack() as stack:
                    result = runner.run(
                        scorer, settings, one, frame, out,
                        batch_size=batch_size, retry_errors=retry_errors,
                        progress=_bar(stack, f"{scorer.name} on {one.label}"),
                    )  # fmt: skip
                _report(one, result)
                results.append(result)
    except Busy as err:
        raise ValueError(str(err)) from err
    except KeyboardInterrupt:
        message("interrupted; what is scored is kept, the same command goes on from there")
        raise typer.Exit(130) from None
    if not any(result.computed for result in results):
        message(_nothing_computed(results))
    typer.echo(write_summary(out, Statistics(resamples=resamples, splits=splits)))
    missing = any(isinstance(scorer, str) for scorer in built.values())
    if missing or any(result.failed or result.stopped for result in results):
        raise typer.Exit(1)


def _load(texts: list[str], *, allow_missing: bool, allow_outside: bool) -> list[Dataset]:
    requests = [parse(text) for text in texts]
    labels = [request.label for request in requests]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"dataset label(s) {', '.join(twice)} given twice; name them: LABEL:NAME=FOLDER"
        )
    return [
        load(request, allow_missing=allow_missing, allow_outside=allow_outside)
        for request in requests
    ]


def _build(text: str, device: str | None, precision: str) -> Scorer | str:
    """Build the scorer, or give the reason why it cannot be built."""
    try:
        return build_scorer(text, device=device, precision=precision)
    except MetricError as err:
        message(f"left out: {err}")
        return str(err)


def _reasons(built: dict[str, Scorer | str]) -> dict[str, str | None]:
    return {
        display_name(text): scorer if isinstance(scorer, str) else None
        for text, scorer in built.items()
    }


def _note_resolution(one: Dataset, side: int | None) -> None:
    spec = SPECS.get(one.spec)
    if spec is not None and spec.short_side not in (None, side):
        message(
            f"note: {one.name} is customarily scored at short side {spec.short_side} "
            f"(--customary); this run: {runner.resolution(side)}"
        )


def _bar(stack: ExitStack, label: str) -> Callable[[int, int], None]:
    """A progress bar that opens at the first call, with what is there already as done."""
    bars: list[Progress] = []

    def show(done: int, total: int) -> None:
        if not bars:
            bars.append(stack.enter_context(progress_bar(label, total, done=done)))
        bars[0].update(done)

    return show


def _report(one: Dataset, result: runner.RunResult) -> None:
    failed = f", {result.failed} failed" if result.failed else ""
    name = f"{result.key.metric} on {one.label}"
    message(f"{name}: {result.computed} computed, {result.reused} reused{failed}")
    if result.reason:
        every = result.failed == result.computed + result.reused
        message(f"{name}: {'FAILED on every image' if every else 'most often'}: {result.reason}")
    if result.stopped:
        message(f"{name}: stopped: {result.stopped}")
    if result.not_retried:
        message(
            f"{name}: {result.not_retried} image(s) failed earlier and were not tried again; "
            "--retry-errors tries them"
        )


def _nothing_computed(results: list[runner.RunResult]) -> str:
    if not results or any(result.stopped for result in results):
        return "nothing computed: see above for the reasons"
    not_retried = sum(result.not_retried for result in results)
    if not_retried:
        return (
            f"nothing to compute: every image was tried already, {not_retried} without a score "
            "(--retry-errors tries them again)"
        )
    return "nothing to compute: every score was there already"
