"""Tables of labels, scores and votes: csv, Excel, MATLAB; errors say what was expected."""

import io
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.datasets.spec import DatasetError

__all__ = ["missing_labels", "read_csv", "read_matlab", "read_table"]

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(path: Path, columns: tuple[str, ...], sheet: str | None = None) -> pd.DataFrame:
    """Read a csv or Excel label table and check its columns.

    The header of an Excel sheet may lie in the first 20 rows.
    """
    if not path.is_file():
        raise missing_labels(path.parent, path.name)
    if path.suffix == ".xlsx":
        return _excel(path, columns, sheet)
    return read_csv(path, columns)


def read_csv(path: Path, columns: Collection[str] = (), **options: Any) -> pd.DataFrame:
    """Read a csv file in UTF-8 and check its columns; `options` are those of pandas.

    Raises DatasetError, with the line if it is known.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected a csv file in UTF-8")
    content = path.read_bytes()
    if not content.strip():
        raise DatasetError(f"{path}: the file is empty; expected a table with a header line")
    if content[:2] in _UTF16 or b"\0" in content:
        raise DatasetError(f"{path}: the file is UTF-16 or binary; save it as a csv in UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = content[: err.start].count(b"\n") + 1
        raise DatasetError(
            f"{path}: line {line} is not UTF-8 (Latin-1, perhaps); save the file as UTF-8"
        ) from err
    try:
        frame: pd.DataFrame = pd.read_csv(io.StringIO(text), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        raise DatasetError(f"{path}: not a csv table: {str(err).strip()}") from err
    frame.columns = frame.columns.astype(str).str.strip()
    if lacking := [column for column in columns if column not in frame]:
        raise DatasetError(
            f"{path}: no column {', '.join(lacking)}; expected {', '.join(columns)}, got "
            f"{', '.join(frame.columns)}"
        )
    return frame


def missing_labels(root: Path, name: str) -> DatasetError:
    """Build the error for an absent label file."""
    return DatasetError(f"labels missing: no {name} under {root}; expected the official layout")


def _excel(path: Path, columns: tuple[str, ...], sheet: str | None) -> pd.DataFrame:
    try:
        cells = pd.read_excel(path, sheet_name=0 if sheet is None else sheet, header=None)
    except ImportError as err:
        raise ImportError(
            "Excel label files need openpyxl: pip install 'qualiclip-metric[benchmarks]'"
        ) from err
    except (ValueError, KeyError, OSError, zipfile.BadZipFile) as err:
        raise DatasetError(f"{path}: not an Excel table that can be read: {err}") from err
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


def read_matlab(path: Path, key: str | None = None, optional: bool = False) -> NDArray[Any]:
    """Read one variable (2-D) of a MATLAB file; by default the one named like the file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise missing_labels(path.parent, path.name)
    try:
        content: dict[str, Any] = loadmat(path)
    except (MatReadError, ValueError, TypeError, NotImplementedError, OSError) as err:
        raise DatasetError(f"{path}: not a MATLAB file that can be read: {err}") from err
    name = key or path.stem
    if name not in content:
        if optional:
            return np.empty(0)
        names = ", ".join(k for k in content if not k.startswith("__"))
        raise DatasetError(f"{path}: no variable {name}; found {names}")
    array: NDArray[Any] = content[name]
    return array
