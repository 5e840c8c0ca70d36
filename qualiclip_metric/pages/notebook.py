"""A table of scores that shows itself in a notebook: thumbnail, score, bar."""

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from qualiclip_metric.pages.pictures import data_uri, thumbnail_if_readable

SIDE = 64
"""Longer side of a thumbnail, px."""
MAX_ROWS = 60
"""Rows that are shown, as pandas' own `display.max_rows`."""
BAR = (
    '<div style="width:8em;height:.5em;border-radius:1em;background:rgba(128,128,128,.25)">'
    '<div style="width:{:.1f}%;height:100%;border-radius:1em;background:#4a7fb5"></div></div>'
)


class ImagePosition(str):
    """`#` and the position of an image in memory in the list that was scored, with its thumbnail.

    The thumbnail belongs to the value and not to the table, so that it stays with its row in
    copies, filters, sorting, joining and pickling.
    """

    thumbnail = ""

    @classmethod
    def of(cls, position: int, pixels: NDArray[Any]) -> "ImagePosition":
        """Make the position of an image, (H, W, 3), uint8 in 0..255 or floats in [0, 1]."""
        made = cls(f"#{position}")
        made.thumbnail = data_uri(pixels, SIDE)
        return made


class Scores(pd.DataFrame):
    """A pandas table of `path`, `score` and `error` that notebooks draw with pictures.

    Everything computed from it is one as well. Thumbnails of files are read when it is shown.
    """

    @property
    def _constructor(self) -> type["Scores"]:
        return Scores

    def _repr_html_(self) -> str | None:
        """Draw the first rows with thumbnail, score and bar; other tables as pandas does."""
        if (
            not {"path", "score"} <= set(self.columns)
            or not self.columns.is_unique
            or not pd.api.types.is_numeric_dtype(self["score"])
        ):
            return pd.DataFrame(self)._repr_html_()  # type: ignore[operator, no-any-return]
        rest = [name for name in self.columns if name not in ("path", "score")]
        head = "".join(f"<th>{escape(str(name))}</th>" for name in ("", "score", "", "path", *rest))
        shown = self.head(MAX_ROWS)[["path", "score", *rest]]
        # not to_dict("records"), which makes plain text of positions
        rows = "".join(_row(*row) for row in shown.itertuples(index=False, name=None))
        more = f"<p>{MAX_ROWS} of {len(self)} rows</p>" if len(self) > MAX_ROWS else ""
        signature = escape(str(self.attrs.get("signature", "")))
        return (
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"{more}<p><code>{signature}</code></p>"
        )


def scores_table(rows: list[dict[str, Any]], signature: str, numbers: Sequence[str] = ()) -> Scores:
    """Make the table of rows with `path` (text or `ImagePosition`), `score` and `error`.

    `numbers` are further columns; any number may be missing.
    """
    table = Scores(rows, columns=["path", "score", "error", *numbers])
    table = table.astype(dict.fromkeys(["score", *numbers], "float64"))
    paths = [row["path"] for row in rows]
    if any(isinstance(path, ImagePosition) for path in paths):
        # pandas would make plain text of them, without thumbnails
        table["path"] = pd.Series(paths, dtype=object)
    table.attrs["signature"] = signature
    return table


def _row(path: Any, score: float, *rest: Any) -> str:
    failed = pd.isna(score)
    picture = "" if failed else _thumbnail(path)
    cells = [
        f'<img src="{picture}" alt="" style="margin:0">' if picture else "",
        "" if failed else f"<b>{score:.4f}</b>",
        "" if failed else BAR.format(100 * score),
        escape(str(path)),
        *(_cell(value) for value in rest),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cell(value: Any) -> str:
    missing = pd.api.types.is_scalar(value) and pd.isna(value)
    return "" if missing else escape(str(value))


def _thumbnail(path: Any) -> str:
    if isinstance(path, ImagePosition):
        return path.thumbnail
    return thumbnail_if_readable(path, SIDE)
