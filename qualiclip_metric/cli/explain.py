"""`qualiclip explain`: image files -> figures, or one page. One line per image on stdout."""

import warnings
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    MAX_PIXELS,
    DeviceOption,
    Engine,
    EngineOption,
    ImagesArgument,
    MaxPixelsOption,
    ModelOption,
    Precision,
    PrecisionOption,
    PromptsOption,
    RecursiveOption,
    SizeOption,
    TruncatedOption,
    out_option,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail, printable
from qualiclip_metric.files import atomic_write, error_text
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable

    from qualiclip_metric.explanations.explanation import Explanation
    from qualiclip_metric.metric import QualiCLIP

INDEX = "index.html"


class Map(str, Enum):
    """What is drawn: keys of `explanations.explanation.MAPS`, or the model's `usual_map`."""

    auto = "auto"
    grad = "grad"
    occlusion = "occlusion"
    local = "local"
    positions = "positions"


class Form(str, Enum):
    """A figure per image, or one page for all."""

    png = "png"
    html = "html"


def explain(
    paths: ImagesArgument,
    out: Annotated[Path, out_option("Folder for the figures, or for index.html.")],
    kind: Annotated[
        Map,
        typer.Option(
            "--map",
            help="positions: lite's own, exact (once a score's cost); grad: what says bad and what "
            "says good, by gradient (once); local: overlapping windows (16 times); occlusion: the "
            "score's rise when a place is covered (50 times); auto: positions where the model has "
            "it, else grad",
        ),
    ] = Map.auto,
    pair: Annotated[
        str | None,
        typer.Option(help="Antonym pair that the maps ask: number from 0, or text; all if none."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="png: a figure per image; html: one page, worst first.")
    ] = Form.png,
    model: ModelOption = "lite",
    prompts: PromptsOption = None,
    size: SizeOption = None,
    recursive: RecursiveOption = True,
    max_pixels: MaxPixelsOption = MAX_PIXELS,
    allow_truncated: TruncatedOption = False,
    precision: PrecisionOption = Precision.fp32,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
) -> None:
    """Draw where images are bad, where they are good, what each antonym pair says, and the fault.

    Everything is computed at full size; figures show a reduced copy. Maps by gradient are always
    torch's. One line per image on stdout: score, image, likeliest fault, figure. A file that cannot
    be explained costs a line on stderr, and exit code 1 at the end.
    """
    from qualiclip_metric.explanations.explanation import explain_image
    from qualiclip_metric.images import find, read

    try:
        files = find(paths, recursive)
    except ValueError as err:
        fail(err)
    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    asked, shown = _pair(metric, pair), None if kind is Map.auto else kind.value
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        fail(f"--out: {error_text(err)}")
    warnings.filterwarnings("ignore", module="PIL")  # a file's oddities that do not stop a viewer

    def explained(path: Path) -> "Explanation":
        img = read(path, max_pixels=max_pixels, allow_truncated=allow_truncated)
        return explain_image(metric, img, printable(path), kind=shown, pair=asked)

    run = _Run(metric, files, explained)
    try:
        (_figures if form is Form.png else _page)(run, out)
    except OSError as err:
        fail(f"--out: {error_text(err)}", DATA_ERROR)
    typer.echo(metric.signature, err=True)
    raise typer.Exit(run.report())


def _pair(metric: "QualiCLIP", pair: str | None) -> int | str | None:
    from qualiclip_metric.explanations.pairs import chosen

    asked = int(pair) if pair is not None and pair.isdecimal() else pair
    try:
        chosen(metric, asked)
    except ValueError as err:
        fail(f"--{err}")
    return asked


class _Run:
    """Explains file after file; keeps count of what failed, and takes Ctrl-C for the end."""

    def __init__(
        self, metric: "QualiCLIP", files: Sequence[Path], explain: "Callable[[Path], Explanation]"
    ) -> None:
        self.signature, self.files, self.explain = str(metric.signature), files, explain
        self.done, self.interrupted = 0, False
        self.failed: list[tuple[str, str]] = []

    def each(self, use: "Callable[[Path, Explanation], None]") -> None:
        """Explain every file, and hand on what was found."""
        with progress_bar("explaining", len(self.files)) as progress:
            try:
                for path in self.files:
                    explained = self._explained(path)
                    if explained is not None:
                        use(path, explained)
                    self.done += 1
                    progress.update(self.done, failed=len(self.failed))
            except KeyboardInterrupt:
                self.interrupted = True

    def _explained(self, path: Path) -> "Explanation | None":
        try:
            return self.explain(path)
        except (ValueError, RuntimeError, MemoryError) as err:
            lines = str(err).removeprefix(f"{path}: ").strip().splitlines() or [type(err).__name__]
            self.failed.append((printable(path), printable(lines[0])))
            typer.echo(f"error: {printable(path)}: {printable(lines[0])}", err=True)
            return None

    def report(self) -> int:
        """Say on stderr what went wrong, if anything; the exit code."""
        if self.failed:
            count = f"{len(self.failed)} of {len(self.files)}"
            typer.echo(f"{count} images could not be explained", err=True)
        if self.interrupted:
            typer.echo(f"interrupted: {self.done} of {len(self.files)} images done", err=True)
            return INTERRUPTED
        return DATA_ERROR if self.failed else 0


def _figures(run: _Run, out: Path) -> None:
    """A figure per image, each there as soon as it is drawn."""
    from qualiclip_metric.explanations.figure import draw

    names = file_names(run.files)

    def save(path: Path, explained: "Explanation") -> None:
        figure = out / names[path]
        drawn = draw(explained, run.signature)
        with atomic_write(figure) as scratch:
            scratch.write_bytes(drawn)
        typer.echo(f"{_line(explained)}  {printable(figure)}")

    run.each(save)


def _page(run: _Run, out: Path) -> None:
    """One page for all images, written at the end or at an interruption."""
    from qualiclip_metric.explanations.sheet import Sheet

    with Sheet(out) as sheet:

        def add(_path: Path, explained: "Explanation") -> None:
            sheet.add(explained)
            typer.echo(f"{_line(explained)}  {printable(out / INDEX)}")

        run.each(add)
        with atomic_write(out / INDEX) as scratch:
            sheet.write(scratch, "Explained images", run.signature, run.failed)


def _line(explained: "Explanation") -> str:
    """Score, image, and the likeliest fault where the model has a diagnosis."""
    fault = f"  ({explained.verdict})" if explained.faults else ""
    return f"{explained.score:6.4f}  {explained.name}{fault}"


def file_names(paths: Iterable[Path]) -> dict[Path, str]:
    """A figure's file name per image: `x-explained.png`, then `x-explained-2.png` and so on.

    Names that differ in upper and lower case alone count as the same, as many disks have it.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in paths:
        number, name = 1, f"{path.stem}-explained.png"
        while name.casefold() in taken:
            number += 1
            name = f"{path.stem}-explained-{number}.png"
        taken.add(name.casefold())
        names[path] = name
    return names
