"""The command line: `qualiclip COMMAND`, each command in a module of its own.

A command's module is imported when the command is used, and not before: help and version stay
quick, and a missing extra stops the command that needs it and no other.
"""

import sys
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from qualiclip_metric._version import __version__
from qualiclip_metric.cli.terminal import USAGE_ERROR, end_on_sigterm

COMMANDS = {
    "score": ("score", "score", "Score images: files, folders and patterns."),
    "explain": ("explain", "explain", "Draw where images are bad, and what says so."),
    "demo": ("demo", "demo", "Score sample photos, clean and degraded; draw a picture of it."),
    "distort": ("distort", "distort", "Degrade an image: 24 types of distortion, 5 levels each."),
    "app": ("page", "page", "Open a page to drop photos on: scores, maps, comparisons."),
    "train": ("train", "train", "Fine-tune an image encoder by ranking; no human scores."),
    "validate": ("validate", "validate", "Measure how well a model orders distortion levels."),
    "weights": ("weights", "app", "List, fetch and check model weights."),
    "export": ("export", "export", "Write a model for another runtime."),
    "info": ("info", "info", "Versions, device, models and caches."),
}
"""Command -> module of this package, its Typer app or plain function, one line of help."""


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As Typer's, with the real command in place of the line of help that stands for it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in COMMANDS else command, rest


def _load(name: str) -> Any:
    module, attribute, summary = COMMANDS[name]
    target = getattr(import_module(f"{__name__}.{module}"), attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name, short_help=summary)(target)
        target = single
    target.rich_markup_mode = None  # plain help wraps at any width; boxes leave a column of words
    return typer.main.get_command(target)


app = typer.Typer(
    name="qualiclip",
    cls=LazyGroup,
    help="No-reference image quality with antonym prompts: score, explain, degrade, train.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
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


for _name, (_, _, _help) in COMMANDS.items():
    app.command(_name, help=_help)(lambda: None)


def main() -> None:
    """Run the command line; what the console script `qualiclip` calls."""
    end_on_sigterm()
    try:
        app(prog_name="qualiclip")
    except ImportError as err:
        if "pip install" not in str(err):
            raise
        typer.echo(f"error: {err}", err=True)
        sys.exit(USAGE_ERROR)  # a missing extra: nothing was done
