"""`python -m benchmarks COMMAND`, each command in a module of its own.

To add a command, write its module in `benchmarks/cli` and add a row to `COMMANDS`.
"""

import typer

from qualiclip_metric.cli.lazy import lazy_app
from qualiclip_metric.cli.terminal import USAGE_ERROR
from qualiclip_metric.files import error_text

COMMANDS = {
    "run": ("run", "Score datasets with metrics; only what is missing."),
    "datasets": ("datasets", "List which datasets are on the disk, and where to get the rest."),
    "summary": ("summary", "Correlations, fits and intervals of a results folder."),
    "table": ("table", "Cross-dataset table in Markdown or LaTeX."),
    "compare": ("compare", "Test which differences between metrics are significant."),
    "rejection": ("rejection", "Does a bar catch bad images, and lose few good ones?"),
    "predictions": ("predictions", "Correlations of published predictions, without images."),
    "golden": ("app", "Freeze and check metric values, for CI."),
    "parity": ("parity", "Differences to pyiqa's class and the official hub."),
    "gmad": ("app", "The gMAD competition on score tables."),
    "report": ("app", "Write a self-contained report page."),
    "speed": ("app", "Seconds per image, memory and images per second."),
    "explain": ("explain", "Do maps and profiles find the fault?"),
    "sizes": ("sizes", "Does the score depend on a photo's pixels?"),
    "diagnosis": ("diagnosis", "Is the fault of a degraded photo named?"),
    "prompts": ("prompts", "Which prompts carry the score?"),
    "bursts": ("bursts", "Is the undegraded photo of a burst picked?"),
    "robustness": ("robustness", "Do changes that nobody sees move the score?"),
}
"""Command, which is also its module in `benchmarks.cli` -> Typer app or function, line of help."""

app = lazy_app(
    {
        name: (f"benchmarks.cli.{name}", attribute, summary)
        for name, (attribute, summary) in COMMANDS.items()
    },
    name="benchmarks",
    help="Benchmark no-reference image quality metrics on real datasets.",
    add_completion=False,
)


def main(argv: list[str] | None = None) -> None:
    """Run the command line; an error of the user is one line on stderr and exit code 2."""
    try:
        app(argv, prog_name="python -m benchmarks")
    except ModuleNotFoundError as err:
        _fail(f"{err}; try: pip install 'qualiclip-metric[benchmarks]'", err)
    except (ValueError, ImportError, OSError) as err:
        _fail(error_text(err), err)


def _fail(text: str, err: Exception) -> None:
    typer.echo(f"error: {text}", err=True)
    raise SystemExit(USAGE_ERROR) from err


if __name__ == "__main__":
    main()
