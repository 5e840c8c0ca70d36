"""`python -m benchmarks table`: metrics x datasets, in the field's usual form."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from benchmarks.cli._options import Results
from benchmarks.results.cross_table import cross_latex, cross_markdown, cross_table


class Form(str, Enum):
    """Output format."""

    md = "md"
    latex = "latex"
    csv = "csv"


def table(
    results: Results = Path("results"),
    value: Annotated[
        list[str] | None, typer.Option(help="Figure to show (srcc, plcc, krcc, plcc4, ...).")
    ] = None,
    split: Annotated[
        str, typer.Option(help="all, official, training, validation, test or random (medians).")
    ] = "all",
    form: Annotated[Form, typer.Option("--format", help="Output format.")] = Form.md,
) -> None:
    """Print the cross-dataset table of an existing summary."""
    path = results / "summary.parquet"
    if not path.is_file():
        raise ValueError(
            f"no {path}; make it with: python -m benchmarks summary --results {results}"
        )
    found = cross_table(pd.read_parquet(path), value or ["srcc", "plcc"], split)
    if form is Form.csv:
        typer.echo(found.to_csv(), nl=False)
    else:
        render = cross_latex if form is Form.latex else cross_markdown
        typer.echo(render(found), nl=False)
