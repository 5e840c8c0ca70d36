"""Label files of any data set: csv, Excel and MATLAB, with errors that say what was expected."""

import io
import zipfile
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
        frame = _excel(path, columns, sheet)
    else:
        frame = read_csv(path)
        frame.columns = frame.columns.astype(str).str.strip()
    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise DatasetError(
            f"{path}: no column {', '.join(lacking)}; found {', '.join(map(str, frame.columns))}"
        )
    return frame


def read_csv(path: Path, **options: Any) -> pd.DataFrame:
    """Read a csv label file in UTF-8; an error names the line if it can."""
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
