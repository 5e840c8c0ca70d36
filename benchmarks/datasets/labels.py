"""Label files of any dataset: csv, Excel and MATLAB, with errors that say what was expected.

Knows file formats; knows no dataset.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.datasets.spec import DatasetError


def table(path: Path, columns: tuple[str, ...], sheet: str | None = None) -> pd.DataFrame:
    """Read a csv or Excel label table and check its columns; an Excel header may lie deeper.

    Raises:
        DatasetError: The file is missing, or lacks a column.
    """
    if not path.is_file():
        raise missing_labels(path.parent, path.name)
    if path.suffix == ".xlsx":
        frame = _excel(path, columns, sheet)
    else:
        frame = pd.read_csv(path)
        frame.columns = frame.columns.astype(str).str.strip()
    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise DatasetError(
            f"{path}: no column {', '.join(lacking)}; found {', '.join(map(str, frame.columns))}"
        )
    return frame


def missing_labels(root: Path, name: str) -> DatasetError:
    """The error for an absent label file."""
    return DatasetError(f"labels missing: no {name} under {root}; expected the official layout")


def _excel(path: Path, columns: tuple[str, ...], sheet: str | None) -> pd.DataFrame:
    try:
        cells = pd.read_excel(path, sheet_name=0 if sheet is None else sheet, header=None)
    except ImportError as err:
        raise ImportError(
            "Excel label files need openpyxl: pip install 'qualiclip-metric[benchmarks]'"
        ) from err
    except ValueError as err:
        raise DatasetError(f"{path}: {err}") from err
    wanted = set(columns)
    for row in range(min(len(cells), 20)):
        header = [str(cell).strip() for cell in cells.iloc[row]]
        if wanted <= set(header):
            body = cells.iloc[row + 1 :].reset_index(drop=True)
            body.columns = pd.Index(header)
            return body
    raise DatasetError(
        f"{path}: no row in the first 20 holds the headers {', '.join(sorted(wanted))}"
    )


def matlab(path: Path, key: str | None = None, optional: bool = False) -> NDArray[Any]:
    """One variable of a MATLAB file; by default the one that is named like the file.

    Args:
        path: The file.
        key: Name of the variable.
        optional: Give an empty array where the file lacks it.

    Raises:
        DatasetError: The file is missing, or lacks the variable.
    """
    from scipy.io import loadmat

    if not path.is_file():
        raise missing_labels(path.parent, path.name)
    content: dict[str, Any] = loadmat(path)
    name = key or path.stem
    if name not in content:
        if optional:
            return np.empty(0)
        names = ", ".join(k for k in content if not k.startswith("__"))
        raise DatasetError(f"{path}: no variable {name}; found {names}")
    array: NDArray[Any] = content[name]
    return array
