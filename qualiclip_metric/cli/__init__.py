"""The command line: `qualiclip COMMAND`, each command in a module of its own."""

import sys
from typing import Annotated

import typer

from qualiclip_metric._version import __version__
from qualiclip_metric.cli.lazy import lazy_app
from qualiclip_metric.cli.terminal import USAGE_ERROR, end_on_sigterm

COMMANDS = {
    "score": ("score", "score", "Score images: files, folders and patterns."),
    "reference": ("reference", "reference", "Score photos that percentiles refer to."),
    "pick": ("pick", "pick", "Find the best photo of each burst in a folder."),
    "explain": ("explain", "explain", "Draw where images are bad, and what says so."),
    "demo": ("demo", "demo", "Score sample photos, clean and degraded; draw a picture of it."),
    "distort": ("distort", "distort", "Degrade an image by distortions or chains, at 5 levels."),
    "app": ("serve_app", "serve_app", "Open a page to drop photos on: scores, maps, comparisons."),
    "train": ("train", "train", "Train a model on pristine photos; no human scores."),
    "validate": ("validate", "validate", "Measure how well a model orders distortion levels."),
    "weights": ("weights", "app", "List, fetch and check model weights."),
    "export": ("export", "export", "Write a model for another runtime."),
    "info": ("info", "info", "Versions, device, models and caches."),
}
"""Command -> module of this package, its Typer app or plain function, one line of help."""


app = lazy_app(
    {
        name: (f"{__name__}.{module}", attribute, summary)
        for name, (module, attribute, summary) in COMMANDS.items()
    },
    name="qualiclip",
    help="No-reference image quality with antonym prompts: score, explain, degrade, train.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qualiclip-metric {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: the console script `qualiclip`."""
    end_on_sigterm()
    try:
        app(prog_name="qualiclip")
    except ImportError as err:
        if "pip install" not in str(err):
            raise
        typer.echo(f"error: {err}", err=True)
        sys.exit(USAGE_ERROR)  # a missing extra: nothing was done
