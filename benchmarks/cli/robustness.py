"""`python -m benchmarks robustness`: scores under changes that nobody should see, and attacked."""

from typing import Any

import numpy as np
import typer

from benchmarks.analysis.robustness import measure_robustness
from benchmarks.cli import message
from benchmarks.cli._options import Images, Limit, MetricSpecs, Resamples, ResultsFolder, Seed
from benchmarks.datasets.photos import pristine
from benchmarks.formatting import markdown, write_json
from benchmarks.metrics.build import build_scorer, display_name
from benchmarks.metrics.scorer import MetricError, Scorer
from benchmarks.report.measured import ROBUSTNESS

__all__ = ["robustness", "robustness_table"]

DEFAULT = ("lite", "sharpness", "jpegsize", "pyiqa:piqe")


def robustness(
    *,
    metric: MetricSpecs = None,
    images: Images = None,
    limit: Limit = None,
    results: ResultsFolder = None,
    resamples: Resamples = 10_000,
    seed: Seed = 0,
) -> None:
    """Resize, shift, flip, re-encode, tint and attack photos: how far does the score move?

    The change is given in units of the score and as a share of the spread: the median, over photos
    and types of distortion, of the difference between the photo and its worst level. Without
    --metric: lite, sharpness, jpegsize and pyiqa:piqe. --results takes the figures for `report`.
    """
    photos = pristine(images, limit, least=64)
    built: list[Scorer] = []
    left_out: dict[str, str] = {}
    for text in dict.fromkeys(metric or DEFAULT):
        try:
            scorer = build_scorer(text)
            scorer.require_score()
            built.append(scorer)
        except MetricError as err:
            message(f"left out: {err}")
            left_out[display_name(text)] = str(err)
    if not built:
        raise ValueError("no metric could be built; try --metric lite")
    panel = measure_robustness(
        [*photos.values()], built, resamples=resamples, seed=seed, progress=message
    )
    panel["left_out"] = left_out
    if results is not None:
        write_json(results / ROBUSTNESS, panel)
        message(str(results / ROBUSTNESS))
    typer.echo(robustness_table(panel), nl=False)


def robustness_table(panel: dict[str, Any]) -> str:
    """The panel in Markdown: mean absolute change in score units and, in %, of the spread."""
    metrics = panel["metrics"]
    rows = [
        ["spread", "", *(f"{m['spread']:.3g}" for m in metrics)],
        ["worst level scores lower", "", *(f"{m['worst_level_lower']:.0%}" for m in metrics)],
    ]
    for i, change in enumerate(metrics[0]["changes"]):
        for j, tick in enumerate(change["ticks"]):
            cells = [_cell(m["changes"][i], j) for m in metrics]
            rows.append([change["name"], _strength(tick, change["unit"]), *cells])
    reasons = {
        m["name"]: f"- {m['name']} cannot be attacked: {change['reason']}\n"
        for m in metrics
        for change in m["changes"]
        if "reason" in change
    }
    reasons |= {name: f"- left out: {why}\n" for name, why in panel["left_out"].items()}
    text = markdown(["change", "strength", *(m["name"] for m in metrics)], rows, 2)
    return text + ("\n" + "".join(reasons.values()) if reasons else "")


def _strength(tick: str, unit: str) -> str:
    return {"axis": tick, "factor": f"x{tick}", "quality": f"quality {tick}"}.get(
        unit, f"{tick} {unit}"
    )


def _cell(change: dict[str, Any], strength: int) -> str:
    if "reason" in change:
        return "–"
    size, share = change["size"][strength], change["share"][strength]
    return _figure(size) + ("" if share is None else f" ({100 * share:.1f} %)")


def _figure(value: float) -> str:
    """Two digits that count, without an exponent; rounding errors are 0."""
    if value < 1e-6:
        return "0"
    return np.format_float_positional(value, 2, fractional=False, trim="-")
