"""Score the small data set as the command does."""

from pathlib import Path

import pandas as pd

from benchmarks.datasets import load, parse
from benchmarks.metrics.build import build_scorer
from benchmarks.results import folder as results
from benchmarks.scoring import runner
from benchmarks.scoring.processes import Settings


def score(
    labels: Path, out: Path, metric: str = "sharpness", **options
) -> tuple[runner.RunResult, pd.DataFrame]:
    dataset = load(parse(f"csv={labels}"))
    known = {
        k: options.pop(k) for k in ("short_side", "workers", "jobs", "timeout") if k in options
    }
    settings = Settings(metric, threads=1, **known)
    frame = runner.prepare(dataset, out)
    outcome = runner.run(build_scorer(metric), settings, dataset, frame, out, **options)
    return outcome, results.load(out)
