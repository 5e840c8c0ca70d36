"""`python -m benchmarks COMMAND`: imports the module of the command and no other.

A command is one file: a module whose ``app`` is a typer app or one function. To add one, add a
row to :data:`COMMANDS`.
"""

import importlib
import sys

import typer

from benchmarks.cli._console import message
from qualiclip_metric.files import error_text

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("benchmarks.cli.run", "Score datasets with metrics; only what is missing."),
    "datasets": ("benchmarks.cli.datasets", "What is on the disk, and where to get the rest."),
    "summary": ("benchmarks.cli.summary", "Correlations, fits and intervals of a results folder."),
    "table": ("benchmarks.cli.table", "Cross-dataset table in Markdown or LaTeX."),
    "compare": ("benchmarks.cli.compare", "Which differences between metrics are significant."),
    "predictions": ("benchmarks.cli.predictions", "Published predictions, without images."),
    "golden": ("benchmarks.cli.golden", "Freeze and check metric values, for CI."),
    "parity": ("benchmarks.cli.parity", "Differences to pyiqa's class and the official hub."),
    "gmad": ("benchmarks.cli.gmad", "The gMAD competition on score tables."),
    "report": ("benchmarks.cli.report", "A self-contained report page."),
    "speed": ("benchmarks.cli.speed", "Seconds per image and memory."),
    "explain": (
        "benchmarks.cli.explain",
        "Do maps and profiles find the fault?",
    ),
    "sizes": ("benchmarks.cli.sizes", "Does the score depend on a photo's pixels?"),
    "diagnosis": ("benchmarks.cli.diagnosis", "Is the fault of a degraded photo named?"),
    "prompts": ("benchmarks.cli.prompts", "Which prompts carry the score."),
    "robustness": (
        "benchmarks.cli.robustness",
        "Do changes nobody sees move the score?",
    ),
}
"""Command -> (module with ``app``, help)."""


def build(argv: list[str]) -> typer.Typer:
    """The application: the command that ``argv`` names, and the others as lines of help."""
    app = typer.Typer(
        help="Benchmark no-reference image quality metrics on real datasets.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    wanted = next((word for word in argv if not word.startswith("-")), None)
    for name, (module, text) in COMMANDS.items():
        if name == wanted:
            command = importlib.import_module(module).app
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name, help=text)
            else:
                app.command(name, help=text)(command)
        else:
            app.command(name, help=text)(_listed)
    return app


def main(argv: list[str] | None = None) -> None:
    """Run the command line; an error of the user is one line on stderr and exit code 2."""
    words = sys.argv[1:] if argv is None else argv
    try:
        build(words)(words, prog_name="python -m benchmarks")
    except ModuleNotFoundError as err:
        message(f"error: {err}; try: pip install 'qualiclip-metric[benchmarks]'")
        raise SystemExit(2) from err
    except (ValueError, ImportError, OSError) as err:
        message(f"error: {error_text(err)}")
        raise SystemExit(2) from err


def _listed() -> None:
    """Stand in for a command that is listed, not called."""


if __name__ == "__main__":
    main()
