"""What runs on the nodes: an actor that holds the metric and scores blocks of rows."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qualiclip_metric.streaming.rows import Layout, pair_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.scoring import Options
    from qualiclip_metric.streaming.items import Item

KEY, PATH, IMAGE, ERROR = "key", "path", "image", "error"
"""Columns of what is read: what tells an image from others; where it is, or its content; or why
there is none."""
YIELD_ROWS = 1024
"""Most rows that a worker gives at once."""


@dataclass(frozen=True)
class MetricSettings:
    """What `create` is asked for on every node.

    Args:
        model: Registered name, or a path that every node can read.
        device: `cpu` or `cuda`.
        precision: As for `create`.
        engine: As for `create`.
        prompts: Antonym pairs in place of the model's own.
        size: As for `create`.
    """

    model: str
    device: str
    precision: str
    engine: str
    prompts: tuple[tuple[str, str], ...] | None = None
    size: int | str | None = None

    def create(self) -> "QualiCLIP":
        """The metric."""
        from qualiclip_metric.build import create

        return create(
            self.model,
            device=self.device,
            precision=self.precision,
            engine=self.engine,
            prompts=self.prompts,
            size=self.size,
        )


@dataclass(frozen=True)
class Described:
    """What a worker says of its metric.

    Args:
        signature: What the scores depend on, its line.
        precision: The one that `auto` came to.
        engine: The same.
        pairs: Columns of the antonym pairs' probabilities.
    """

    signature: str
    precision: str
    engine: str
    pairs: tuple[str, ...]

    def layout(self, options: "Options", columns: Mapping[str, Any]) -> Layout:
        """What its rows hold.

        Args:
            options: Whether pairs and a diagnosis are among it.
            columns: Columns that are passed through, with their types.
        """
        pairs = self.pairs if options.pairs else ()
        return Layout(self.signature, pairs, options.diagnose, columns)


def describe(settings: MetricSettings) -> Described:
    """Make the metric where the workers will run, and say what it is; a task of Ray's."""
    metric = settings.create()
    assert metric.signature is not None
    signature = metric.signature
    names = pair_columns(metric.pairs, len(metric.prompts))
    return Described(str(signature), signature.precision, signature.engine, names)


class Worker:
    """Holds a metric and scores blocks; an actor of Ray Data's.

    Args:
        settings: The metric.
        described: What the first worker said; another node must agree to the last digit.
        threads: Cores to compute with; as torch finds best on a GPU's node if 0.
        options: How images are decoded and batched.

    Raises:
        RuntimeError: When this node's metric is another one.
    """

    def __init__(
        self, settings: MetricSettings, described: Described, threads: int, options: "Options"
    ) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.metric = settings.create()
        self.described, self.options = described, options
        if str(self.metric.signature) != described.signature:
            raise RuntimeError(
                f"node {os.uname().nodename} scores as {self.metric.signature}, expected "
                f"{described.signature}: install the same version on every node, and give "
                "--precision and --engine by name"
            )

    def __call__(self, table: "pa.Table") -> "Iterator[pa.Table]":
        """Rows with images, or with paths -> rows of scores, in their order."""
        from qualiclip_metric.scoring import score_items
        from qualiclip_metric.streaming import parts
        from qualiclip_metric.streaming.items import fetched

        layout = self.described.layout(self.options, passed_through(table))
        rows: list[Any] = []
        for row in score_items(self.metric, fetched(items_of(table)), self.options):
            rows.append(row)
            if len(rows) == YIELD_ROWS:
                yield parts.to_table(rows, layout)
                rows = []
        if rows or not len(table):
            yield parts.to_table(rows, layout)


def passed_through(table: "pa.Table") -> "dict[str, pa.DataType]":
    """Columns that go with an image, and their types."""
    return {
        field.name: field.type
        for field in table.schema
        if field.name not in (KEY, PATH, IMAGE, ERROR)
    }


def items_of(table: "pa.Table") -> "Iterator[Item]":
    """A block's rows as what is scored.

    Args:
        table: With `image` (the file's bytes) or `path` (path or URL, text or bytes), or both, one
            of which is null; `key` is the path unless there is one; `error` may say why there is
            none. All other columns are passed through.

    Raises:
        ValueError: When there is no such column, or content without a key.
    """
    names = table.schema.names
    if not {IMAGE, PATH} & set(names) or not {KEY, PATH} & set(names):
        raise ValueError(
            f"expected a column {IMAGE} with images' bytes and a column {KEY}, or a column {PATH} "
            f"with paths or URLs; got {', '.join(names)}"
        )
    others = list(passed_through(table))
    for batch in table.to_batches(max_chunksize=YIELD_ROWS):
        columns: dict[str, Sequence[Any]] = {n: batch.column(n) for n in names}
        for index in range(len(batch)):
            row = {name: columns[name][index].as_py() for name in names}
            yield _item(row, {name: row[name] for name in others})


def _item(row: dict[str, Any], columns: dict[str, Any]) -> "Item":
    from qualiclip_metric.decoding import Encoded
    from qualiclip_metric.streaming.items import Item, Url, is_url

    content, place = row.get(IMAGE), row.get(PATH)
    place = os.fsdecode(place) if place is not None else None
    key = row.get(KEY) or place or ""
    if content is not None:
        return Item(key, Encoded(place or key, content), columns)
    if place is None:
        return Item(key, None, columns, row.get(ERROR) or "there is no image")
    return Item(key, Url(place) if is_url(place) else Path(place), columns)
