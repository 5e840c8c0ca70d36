"""A table of scores that shows itself in a notebook: thumbnail, score, bar."""

from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.decoding import ImageError, to_pixels
from qualiclip_metric.sheets.pictures import as_bytes, data_uri, thumbnail

SIDE = 64
"""Longer side of a thumbnail, px."""
MOST = 60
"""Rows that are shown, as pandas' own `display.max_rows`."""
BAR = (
    '<div style="width:8em;height:.5em;border-radius:1em;background:rgba(128,128,128,.25)">'
    '<div style="width:{:.1f}%;height:100%;border-radius:1em;background:#4a7fb5"></div></div>'
)


class Scores(pd.DataFrame):
    """A pandas table of `path`, `score` and `error` that notebooks draw with pictures.

    In everything else it is a DataFrame, and what is computed from it is one, too. Thumbnails of
    files are read when the table is shown; those of images in memory are in `thumbnails`.
    """

    _metadata = ["thumbnails"]  # noqa: RUF012, pandas reads it from the class
    thumbnails: dict[int, str]

    @property
    def _constructor(self) -> type["Scores"]:
        return Scores

    def _repr_html_(self) -> str | None:
        """The first rows with thumbnail, score and bar, as HTML; pandas' own for other columns."""
        if not {"path", "score"} <= set(self.columns):
            return pd.DataFrame(self)._repr_html_()  # type: ignore[operator, no-any-return]
        rest = [name for name in self.columns if name not in ("path", "score")]
        head = "".join(f"<th>{escape(str(name))}</th>" for name in ("", "score", "", "path", *rest))
        rows = "".join(self._row(row, rest) for row in self.head(MOST).to_dict("records"))
        more = f"<p>{MOST} of {len(self)} rows</p>" if len(self) > MOST else ""
        signature = escape(str(self.attrs.get("signature", "")))
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"{more}<p><code>{signature}</code></p>"
        )

    def _row(self, row: dict[Any, Any], rest: list[Any]) -> str:
        score, failed = row["score"], pd.isna(row["score"])
        picture = "" if failed else self._thumbnail(row["path"])
        cells = [
            f'<img src="{picture}" alt="" style="margin:0">' if picture else "",
            "" if failed else f"<b>{score:.4f}</b>",
            "" if failed else BAR.format(100 * score),
            escape(str(row["path"])),
            *("" if pd.isna(row[name]) else escape(str(row[name])) for name in rest),
        ]
        return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"

    def _thumbnail(self, path: Any) -> str:
        if isinstance(path, int | np.integer):
            return str(getattr(self, "thumbnails", {}).get(int(path), ""))
        try:
            return thumbnail(path, SIDE)
        except ImageError:
            return ""


def small(image: Image.Image | NDArray[np.uint8]) -> str:
    """The thumbnail of an image in memory, or of an array (H, W, 3) of bytes, as a data URI."""
    if isinstance(image, np.ndarray):
        return data_uri(image, SIDE)
    step = max(1, min(image.size) // (2 * SIDE))  # a large one is reduced coarsely first
    return data_uri(as_bytes(to_pixels(image.reduce(step) if step > 1 else image)), SIDE)
