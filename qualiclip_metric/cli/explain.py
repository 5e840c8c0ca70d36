"""`qualiclip explain`: image files -> figures, or one page. One line per image on stdout."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.cli.options import (
    Colour,
    ColourOption,
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
    ReferenceOption,
    SizeOption,
    TruncatedOption,
    out_option,
)
from qualiclip_metric.cli.terminal import DATA_ERROR, INTERRUPTED, fail
from qualiclip_metric.files import atomic_write, error_text, printable
from qualiclip_metric.limits import MAX_PIXELS
from qualiclip_metric.progress import progress_bar

if TYPE_CHECKING:
    from qualiclip_metric.explanations.explanation import Explanation

    Save = Callable[[Path, Explanation], Path]
    """Takes an image file and its explanation, and returns where that is drawn."""

INDEX = "index.html"


class MapOption(str, Enum):
    """Keys of `explanations.explanation.MAPS`, or `auto` for the model's `default_map`."""

    auto = "auto"
    grad = "grad"
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
        MapOption,
        typer.Option(
            "--map",
            help="positions: lite's own, exact (as quick as the score); grad: what says bad and "
            "what says good, by gradient (as quick); local: overlapping windows (16 times); auto: "
            "positions where the model has it, else grad",
        ),
    ] = MapOption.auto,
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
    colour: ColourOption = Colour.srgb,
    precision: PrecisionOption = Precision.fp32,
    engine: EngineOption = Engine.auto,
    device: DeviceOption = "auto",
    reference: ReferenceOption = None,
) -> None:
    """Draw where images are bad, where they are good, what each antonym pair says, and the fault.

    Everything is computed at full size; figures show a reduced copy. Maps by gradient are always
    torch's. One line per image on stdout: score, image, likeliest fault, figure. A file that cannot
    be explained is a line on stderr, and the exit code is 1 at the end.
    """
    from qualiclip_metric.explanations.explanation import MAPS, default_map, explain_image
    from qualiclip_metric.explanations.pairs import chosen
    from qualiclip_metric.images import read
    from qualiclip_metric.reference import reference_for
    from qualiclip_metric.sources.folders import find

    try:
        files = find(paths, recursive)
    except ValueError as err:
        fail(err)
    metric = load_metric(model, device, precision.value, engine.value, prompts=prompts, size=size)
    assert metric.signature is not None  # `create` made it
    signature = str(metric.signature.of_files(colour.value))
    asked = int(pair) if pair is not None and pair.isdecimal() else pair
    try:
        chosen(metric, asked)
    except ValueError as err:
        fail(f"--{err}")
    try:
        percentiles = reference_for(signature, reference)
    except (ValueError, OSError) as err:
        fail(err)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        fail(f"--out: {error_text(err)}")
    panels = MAPS[default_map(metric) if kind is MapOption.auto else kind.value]

    def explained(path: Path) -> "Explanation":
        img = read(
            path, max_pixels=max_pixels, allow_truncated=allow_truncated, colour=colour.value
        )
        return explain_image(
            metric, img, printable(path), panels, pair=asked, reference=percentiles
        )

    failed: list[tuple[str, str]] = []
    drawing = _figures(out, files, signature) if form is Form.png else _page(out, signature, failed)
    try:
        with drawing as save:
            interrupted = _explain_each(files, explained, save, failed)
    except OSError as err:
        fail(f"--out: {error_text(err)}", DATA_ERROR)
    typer.echo(signature, err=True)
    if failed:
        typer.echo(f"{len(failed)} of {len(files)} images could not be explained", err=True)
    raise typer.Exit(INTERRUPTED if interrupted else DATA_ERROR if failed else 0)


def _explain_each(
    files: Sequence[Path],
    explain: "Callable[[Path], Explanation]",
    save: "Save",
    failed: list[tuple[str, str]],
) -> bool:
    """Explain and save files, appending name and reason to `failed`; True if Ctrl-C ended it."""
    done = 0
    with progress_bar("explaining", len(files)) as progress:
        try:
            for path in files:
                try:
                    explained = explain(path)
                except (ValueError, RuntimeError, MemoryError) as err:
                    failed.append((printable(path), _reason(path, err)))
                    typer.echo("error: {}: {}".format(*failed[-1]), err=True)
                else:
                    target = save(path, explained)
                    verdict = f"  ({explained.verdict})" if explained.verdict else ""
                    line = f"{explained.score:6.4f}  {explained.name}{verdict}"
                    typer.echo(f"{line}  {printable(target)}")
                done += 1
                progress.update(done, failed=len(failed))
        except KeyboardInterrupt:
            typer.echo(f"interrupted: {done} of {len(files)} images done", err=True)
            return True
    return False


def _reason(path: Path, err: BaseException) -> str:
    lines = str(err).removeprefix(f"{path}: ").strip().splitlines() or [type(err).__name__]
    return printable(lines[0])


@contextmanager
def _figures(out: Path, files: Sequence[Path], signature: str) -> "Iterator[Save]":
    """Save a figure per image, each as soon as it is drawn."""
    from qualiclip_metric.explanations.figure import draw

    names = file_names(files)

    def save(path: Path, explained: "Explanation") -> Path:
        drawn = draw(explained, signature)
        with atomic_write(out / names[path]) as scratch:
            scratch.write_bytes(drawn)
        return out / names[path]

    yield save


@contextmanager
def _page(out: Path, signature: str, failed: list[tuple[str, str]]) -> "Iterator[Save]":
    """Collect cards, and write one page for all images at the end or at an interruption."""
    from qualiclip_metric.pages.cards import CardPage
    from qualiclip_metric.pages.explanation_card import explanation_card

    with CardPage(out, worst_first=True) as page:

        def save(_path: Path, explained: "Explanation") -> Path:
            page.add(explanation_card(explained))
            return out / INDEX

        yield save
        for name, reason in failed:
            page.add_failure(name, reason)
        with atomic_write(out / INDEX) as scratch:
            hint = "Open one to see its maps."
            page.write(scratch, title="Explained images", signature=signature, hint=hint)


def file_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Name a figure per image: `x-explained.png`, then `x-explained-2.png` and so on.

    Names that differ in upper and lower case alone count as the same, as on many disks.
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
