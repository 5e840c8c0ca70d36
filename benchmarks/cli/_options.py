"""Options that several commands have: one name, one meaning and one help text each."""

from pathlib import Path
from typing import Annotated

import typer

from qualiclip_metric.cli.options import Engine, EngineOption, Precision, PrecisionOption

__all__ = [
    "AllowMissing",
    "AllowOutside",
    "Dataset",
    "DatasetName",
    "DatasetNames",
    "Datasets",
    "Device",
    "Engine",
    "EngineOption",
    "Images",
    "JsonOut",
    "Limit",
    "MetricNames",
    "MetricSpecs",
    "Model",
    "Models",
    "OptionalResamples",
    "Precision",
    "PrecisionOption",
    "RequiredMetricSpecs",
    "Resamples",
    "Results",
    "ResultsFolder",
    "Seed",
    "ShortPhotos",
]

_METRIC = typer.Option(
    "--metric",
    help="lite, qualiclip, a checkpoint, sharpness, jpegsize, pyiqa:NAME, module:function or "
    "table:FILE.csv; options follow as ,key=value. May be repeated.",
)
_DATASET = typer.Option("--dataset", help="[LABEL:]NAME[=FOLDER] or [LABEL:]csv=FILE.")
_DATASET_NAME = "Data set of the results folder"
_RESULTS = typer.Option("--results", help="Results folder, as `run` writes it.")

# Which metrics and models.
MetricSpecs = Annotated[list[str] | None, _METRIC]
RequiredMetricSpecs = Annotated[list[str], _METRIC]
MetricNames = Annotated[
    list[str] | None,
    typer.Option("--metric", help="Metric among the scores; default: all. May be repeated."),
]
Model = Annotated[str, typer.Option("--model", help="lite, qualiclip, or a checkpoint.")]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", help="lite, qualiclip, or a checkpoint. May be repeated."),
]

# Which data.
Dataset = Annotated[str | None, _DATASET]
Datasets = Annotated[list[str], typer.Option("--dataset", help=f"{_DATASET.help} May be repeated.")]
DatasetName = Annotated[
    str | None,
    typer.Option("--dataset", help=f"{_DATASET_NAME}; not needed where there is only one."),
]
DatasetNames = Annotated[
    list[str] | None,
    typer.Option("--dataset", help=f"{_DATASET_NAME}; default: each. May be repeated."),
]
AllowMissing = Annotated[
    bool, typer.Option("--allow-missing", help="Run on the images that are there, as a subset.")
]
AllowOutside = Annotated[
    bool,
    typer.Option(
        "--allow-outside", help="Accept image names that lead out of the set: /x.png, ../x.png."
    ),
]
Images = Annotated[
    list[Path] | None,
    typer.Option(
        "--images",
        help="Undistorted photos or folders of them; default: photos of scikit-image. "
        "May be repeated.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Most photos.")]
ShortPhotos = Annotated[
    int | None, typer.Option("--side", min=96, help="Shrink photos to this longer side, px.")
]

# Where results are read and written.
Results = Annotated[Path, _RESULTS]
ResultsFolder = Annotated[Path | None, _RESULTS]
JsonOut = Annotated[Path | None, typer.Option("--out", help="JSON file for all figures.")]

# How figures are computed.
Resamples = Annotated[int, typer.Option("--resamples", min=10, help="Bootstrap resamples.")]
OptionalResamples = Annotated[
    int, typer.Option("--resamples", min=0, help="Bootstrap resamples; 0: no intervals.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of everything random.")]

# How models run.
Device = Annotated[
    str | None, typer.Option("--device", help="Where to compute: cpu, cuda, cuda:1, mps.")
]
