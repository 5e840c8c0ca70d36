"""`qualiclip_metric.score`: a number for one image of any kind, a table for several."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from qualiclip_metric.build import create
from qualiclip_metric.decoding import WHITE, Colour, Encoded, ImageError
from qualiclip_metric.decoding.convert import copy_with_exif, to_pixels
from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.reference import Reference, shipped
from qualiclip_metric.scoring.options import ScoreOptions
from qualiclip_metric.scoring.pipeline import score_items
from qualiclip_metric.sources.arguments import open_sources
from qualiclip_metric.sources.folders import LeftOut
from qualiclip_metric.sources.item import Item
from qualiclip_metric.sources.table_source import held, image_column
from qualiclip_metric.statistic_names import STATISTICS

if TYPE_CHECKING:
    from pandas import DataFrame


def score(
    what: Any,
    model: str | Path | QualiCLIP = "lite",
    *,
    column: str | None = None,
    recursive: bool = True,
    colour: Colour = "srgb",
    checks: bool = False,
    percentile: bool = False,
    reference: str | Path | None = None,
    **options: Any,
) -> "float | ScoreAndPercentile | DataFrame":
    """Score an image, or many, of any kind.

    Args:
        what: One image gives a number: a path or URL, a file's content (bytes, or a binary file
            that is open), a mapping of `bytes` and `path` as `datasets` makes it, a Pillow image,
            or an array of uint8: (H, W), (H, W, 3), or (H, W, 4) with alpha. Many give a table: a
            folder, pattern, table or shard as `qualiclip score` takes them; a pandas, polars,
            pyarrow or `datasets` table with a column of images; or any iterable of all these.
        model: As for `create`, or a metric that `create` made. The last two models that were named
            are kept with their options; a checkpoint whose file has changed is read again.
        column: Tables: the column of images; by default `image`, `path` or `key`.
        recursive: Whether folders are entered to any depth.
        colour: As for `images.read`; an array is scored as it is.
        checks: Whether to give pixel statistics as further columns; `statistics.statistics` defines
            them. A single image then gives a table of one row.
        percentile: Whether to give also the percent of the reference's photos that score lower.
        reference: File of `qualiclip reference`, which implies `percentile`; default: the 1,127
            everyday photos of `lite`.
        options: As for `create`.

    Returns:
        The score in [0, 1], higher is better; with `percentile` the tuple (score, percentile). Of
        several images a pandas.DataFrame with the columns `path` (for an image in memory `#` and
        its position), `score` (NaN where it failed), `error`, and columns asked for; it has the
        index of a pandas table or column with a row for each image. What is no image, such as None
        in a list, is a row with an error. `attrs["signature"]` is the metric's signature,
        `attrs["left_out"]` says which files of folders and shards were left out. In a notebook the
        table shows thumbnails.

    Raises:
        ImageError: If a single image cannot be read or scored.
        ValueError: If `what` is none of these, an argument is wrong, or the reference's scores are
            of another signature.
    """
    metric = model if isinstance(model, QualiCLIP) else _kept(str(model), **options)
    found = Reference.load(reference) if reference else shipped() if percentile else None
    scoring = ScoreOptions(colour=colour, checks=checks, reference=found)
    if checks and _stands_alone(what):
        what = [what]
    finder = _Finder(column, recursive, colour)
    if _stands_alone(what):
        items = finder.items_of(what)
        first = list(islice(items, 2))
        names = (str(what), str(Path(what))) if isinstance(what, _NAMES) else ("",)
        if len(first) == 1 and first[0].key in names:
            (row,) = score_items(metric, first, scoring)
            if row.score is None:
                raise ImageError(f"{row.key}: {row.error}".removeprefix(": "))
            if row.percentile is None:
                return row.score
            return ScoreAndPercentile(row.score, row.percentile)
        return _table(metric, chain(first, items), scoring, finder.left_out)
    values = _column_of(what, column)
    if not isinstance(values, Iterable) or isinstance(values, Mapping):
        raise ValueError(f"expected {_EXPECTED}; got {type(what).__name__}")
    table = _table(metric, finder.items(values), scoring, finder.left_out)
    if hasattr(what, "iloc") and len(what) == len(table):  # of pandas: rows belong to each other
        table.index = what.index
    return table


class ScoreAndPercentile(NamedTuple):
    """A score in [0, 1], and the percent of the reference's photos that score lower."""

    score: float
    percentile: float


_EXPECTED = (
    "a path, a URL, a file's content, a Pillow image, an array (H, W), (H, W, 3) or (H, W, 4) of "
    "uint8, or an iterable of these; tensors (N, 3, H, W) in [0, 1] are scored by metric(img) with "
    "metric = create(...)"
)


def _kept(model: str, **options: Any) -> QualiCLIP:
    """The metric for these arguments; made again if its file has changed."""
    if options.get("prompts") is not None:
        options["prompts"] = tuple(tuple(pair) for pair in options["prompts"])
    stat = Path(model).stat() if Path(model).is_file() else None
    return _made(model, stat and (stat.st_mtime_ns, stat.st_size, stat.st_ino), **options)


@lru_cache(maxsize=2)
def _made(model: str, _stamp: object, **options: Any) -> QualiCLIP:
    return create(model, **options)


def _stands_alone(value: Any) -> bool:
    """Whether a value is one image, or the name of many, and no iterable of them."""
    if isinstance(value, Mapping):
        return bool({"bytes", "path"} & value.keys())
    return _is_picture(value) or isinstance(value, _NAMES + _CONTENTS) or hasattr(value, "read")


def _column_of(table: Any, column: str | None) -> Any:
    """The images of a table of pandas, polars, pyarrow or `datasets`; other values as given."""
    names = getattr(table, "column_names", getattr(table, "columns", None))
    if names is None or isinstance(table, Mapping):
        return table
    values = table[image_column(type(table).__name__, [str(name) for name in names], column)]
    return values.to_pylist() if hasattr(values, "to_pylist") else values


def _is_picture(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind not in "OU"  # those are lists of names
    return isinstance(value, Image.Image | Tensor)


_NAMES = (str, Path)
_CONTENTS = (bytes, bytearray, memoryview)


@dataclass
class _Finder:
    """Finds the images in Python values; the fields are as in `score`."""

    column: str | None
    recursive: bool
    colour: Colour
    left_out: LeftOut = field(default_factory=LeftOut)

    def items(self, values: Iterable[Any]) -> Iterator[Item]:
        """Images of all values, in their order; with an error for a value that has none."""
        from qualiclip_metric.pages.notebook import ImagePosition

        for position, value in enumerate(values):
            key = f"#{position}"
            try:
                for item in self.items_of(value, key):
                    if isinstance(item.image, np.ndarray):
                        yield replace(item, key=ImagePosition.of(position, item.image))
                    else:
                        yield item
            except (ValueError, OSError) as err:
                named = isinstance(value, _NAMES) and str(value)
                yield Item(named or key, None, error=str(err))

    def items_of(self, value: Any, key: str = "") -> Iterator[Item]:
        """Images of one value; `key` is that of an image without a name.

        Raises OSError if a file cannot be read, ValueError if the value is no image.
        """
        if isinstance(value, _NAMES):
            sources = open_sources([str(value)], column=self.column, recursive=self.recursive)
            yield from sources.items()
            self.left_out.update(sources.left_out)
        elif not _stands_alone(value):
            raise ValueError(f"expected {_EXPECTED}; got {str(value)[:40] or type(value).__name__}")
        elif _is_picture(value):
            yield Item(key, self._pixels(value))
        elif isinstance(value, Mapping):
            yield held(key, value)
        else:
            content = value if isinstance(value, _CONTENTS) else value.read()
            yield Item(key, Encoded(key, bytes(content)))

    def _pixels(self, picture: Any) -> NDArray[Any]:
        """(H, W, 3) of a Pillow image or an array: uint8 in 0..255, or float32 in [0, 1]."""
        if isinstance(picture, np.ndarray) and picture.dtype == np.uint8:
            if picture.ndim == 2 or picture.shape[2:] == (4,):
                picture = Image.fromarray(picture)
            elif picture.shape[2:] == (3,):
                return picture
        if isinstance(picture, Image.Image):
            return to_pixels(copy_with_exif(picture), WHITE, self.colour)
        shape = f" of shape {tuple(picture.shape)}, {picture.dtype}"
        raise ValueError(f"expected {_EXPECTED}; got {type(picture).__name__}{shape}")


def _table(
    metric: QualiCLIP, items: Iterable[Item], scoring: ScoreOptions, left_out: LeftOut
) -> "DataFrame":
    """A row per image, in the order of the items."""
    from qualiclip_metric.pages.notebook import scores_table

    rows = [
        {
            "path": row.key,
            "score": row.score,
            "error": row.error,
            "percentile": row.percentile,
            **row.checks,
        }
        for row in score_items(metric, items, scoring)
    ]
    signature = metric.signature and metric.signature.of_files(scoring.colour)
    numbers = (
        *(("percentile",) if scoring.reference else ()),
        *(STATISTICS if scoring.checks else ()),
    )
    table = scores_table(rows, str(signature), numbers)
    if scoring.reference is not None:
        table.attrs["reference"] = scoring.reference.label
    table.attrs["left_out"] = left_out.note()
    return table
