"""Data sets: one table of specs, one reader per layout, one frame for all. Downloads nothing."""

from benchmarks.datasets.catalogue import SPECS
from benchmarks.datasets.inventory import Status, inventory
from benchmarks.datasets.load import Request, load, parse
from benchmarks.datasets.spec import COLUMNS, Dataset, DatasetError, DatasetSpec

__all__ = [
    "COLUMNS",
    "SPECS",
    "Dataset",
    "DatasetError",
    "DatasetSpec",
    "Request",
    "Status",
    "inventory",
    "load",
    "parse",
]
