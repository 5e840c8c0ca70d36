"""The page: Gradio's components and their handlers."""

import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from numpy.typing import NDArray

from qualiclip_metric.app.photos import PhotoScorer, ScoredPhoto, difference, in_order, ranked
from qualiclip_metric.explanations.explanation import Explanation, Panel
from qualiclip_metric.explanations.overlay import overlay
from qualiclip_metric.files import first_line
from qualiclip_metric.pages.explanation_card import legend

CSV = "scores.csv"
ORDERS = ("Best first", "Worst first")
HEAD = (
    "# How good do your photos look?\nScored on this machine: nothing is sent anywhere, and your "
    "photos are removed when the app ends."
)
SIGNATURE = "Signature: quote it with the scores; those of different signatures cannot be compared"
INTO_VIEW = "() => innerWidth < 800 && document.querySelector('#qc-photo').scrollIntoView()"
"""On a phone the opened photo is below the list."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
PICTURE: dict[str, Any] = {"interactive": False, "buttons": ["fullscreen"], "min_width": 140}


def build(scorer: PhotoScorer, folder: Path) -> Any:
    """Build the page, a `gr.Blocks` that is not yet served.

    `folder` gets the csv files that visitors download. A visitor's photos and the opened photo are
    kept in `gr.State`; when one changes, Gradio draws what uses it again.
    """
    with gr.Blocks(title="QualiCLIP", analytics_enabled=False, fill_width=True) as blocks:
        photos, opened = gr.State([]), gr.State(None)
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                _add_list(scorer, folder, photos, opened)
            with gr.Column(scale=7, min_width=320), gr.Tabs():
                with gr.Tab("One photo"):
                    _add_one_photo(scorer, opened)
                with gr.Tab("Two photos"):
                    _add_two_photos(scorer, photos)
        gr.Textbox(
            scorer.layout.signature, label=SIGNATURE, buttons=["copy"], elem_id="qc-signature"
        )
    return blocks


def _add_list(scorer: PhotoScorer, folder: Path, photos: gr.State, opened: gr.State) -> None:
    """Add the drop area and the list of photos."""
    files = gr.File(label="Drop photos here", file_count="multiple", height=150, elem_id="qc-drop")
    with gr.Row():
        folders = gr.UploadButton("Choose a folder", file_count="directory", size="sm")
        clear = gr.Button("Start over", size="sm", elem_id="qc-clear")
    order = gr.Radio(ORDERS, value=ORDERS[0], show_label=False, container=False)

    def add(
        names: str | list[str],
        photos: list[ScoredPhoto],
        opened: ScoredPhoto | None,
        progress: Any = gr.Progress(),  # noqa: B008, Gradio finds it there
    ) -> tuple[list[ScoredPhoto], ScoredPhoto | None, None]:
        paths = [Path(name) for name in ([names] if isinstance(names, str) else names)]
        new = progress.tqdm(scorer.score(paths), total=len(paths), unit="photos")
        photos = [*photos, *new]
        return photos, opened or next(iter(ranked(photos)), None), None

    held = [photos, opened, files]
    for source in (files, folders):
        source.upload(add, [source, photos, opened], held, show_progress_on=files, **PRIVATE)
    clear.click(lambda: ([], None, None), None, held, **PRIVATE)

    @gr.render([photos, order])  # type: ignore[untyped-decorator]
    def show(photos: list[ScoredPhoto], order: str) -> None:
        if not photos:
            return
        ordered = in_order(photos, order == ORDERS[1])
        shown = [photo for photo in ordered if photo.score is not None]
        failures = [[photo.name, photo.row.error] for photo in ordered if photo.score is None]
        gr.Markdown(_summary(photos), elem_id="qc-status")
        gallery = gr.Gallery(
            [(photo.thumbnail, photo.caption) for photo in shown], show_label=False, columns=2,
            object_fit="cover", height="auto", allow_preview=False, interactive=False, buttons=[],
            elem_id="qc-photos",
        )  # fmt: skip

        def choose(event: gr.SelectData) -> ScoredPhoto:
            photo: ScoredPhoto = shown[event.index]
            return photo

        gallery.select(choose, None, opened, **PRIVATE).then(None, js=INTO_VIEW, **PRIVATE)
        if failures:
            gr.Dataframe(
                failures, headers=["Could not be scored", "reason"], column_widths=["40%", "60%"],
                wrap=True, interactive=False, elem_id="qc-failures",
            )  # fmt: skip
        file = Path(tempfile.mkdtemp(dir=folder), CSV)
        file.write_bytes(scorer.csv(ordered).encode("utf-8", "surrogateescape"))
        gr.DownloadButton("Download as csv", str(file), size="sm", elem_id="qc-csv")


def _add_one_photo(scorer: PhotoScorer, opened: gr.State) -> None:
    """Add the opened photo under a map, with its score, diagnosis and profile."""
    titles = [(panel.title.capitalize(), index) for index, panel in enumerate(scorer.panels)]
    chosen = gr.Radio(
        titles, value=0, show_label=False, container=False, visible=len(titles) > 1,
        elem_id="qc-map",
    )  # fmt: skip

    @gr.render([opened, chosen])  # type: ignore[untyped-decorator]
    def show(opened: ScoredPhoto | None, chosen: int) -> None:
        if opened is None:
            return
        panel = scorer.panels[chosen]
        explained = _explain(scorer, opened, panel)
        gr.ImageSlider(
            (explained.photo, _overlaid(explained)), label=explained.name, interactive=False,
            buttons=["fullscreen"], elem_id="qc-photo",
        )  # fmt: skip
        with gr.Row():
            scale = "; ".join(filter(None, ("0 to 1, higher is better", explained.place)))
            gr.Markdown(f"## {explained.score:.4f}\n{scale}", elem_id="qc-score")
            gr.HTML(_legend(panel))
        with gr.Row():
            if explained.faults:
                faults = {name: share for name, share, _ in explained.diagnosis}
                gr.Label(faults, label="What is wrong", min_width=240, elem_id="qc-faults")
            gr.Label(
                {name: share for name, share, _ in explained.profile}, show_heading=False,
                label="Profile: probability of each good prompt", min_width=240,
                elem_id="qc-profile",
            )  # fmt: skip


def _add_two_photos(scorer: PhotoScorer, photos: gr.State) -> None:
    """Compare two photos, each under the quickest map."""
    pair = gr.Dropdown(
        [], multiselect=True, max_choices=2, label="The first and the second photo",
        elem_id="qc-pair",
    )  # fmt: skip

    def choices(photos: list[ScoredPhoto], pair: list[str]) -> Any:
        """List the photos; choose the best and the worst where none is chosen."""
        order = ranked(photos)
        if not pair and len(order) > 1:
            pair = [str(order[0].path), str(order[-1].path)]
        names = [(f"{photo.name} ({photo.score:.4f})", str(photo.path)) for photo in order]
        return gr.update(choices=names, value=pair if order else [])

    photos.change(choices, [photos, pair], pair, **PRIVATE)

    @gr.render([photos, pair], [pair.change])  # type: ignore[untyped-decorator]
    def show(photos: list[ScoredPhoto], pair: list[str]) -> None:
        if len(pair) < 2:
            return
        found = {str(photo.path): photo for photo in photos}
        first, second = (_explain(scorer, found[path], scorer.panels[0]) for path in pair)
        change, places = second.score - first.score, difference(first, second)
        higher = "second" if change > 0 else "first"
        title = "Second less first" + (f": the {higher} scores higher" if change else "")
        gr.Label(f"{change:+.4f}", label=title, elem_id="qc-change")
        with gr.Row(elem_id="qc-two"):
            for one in (first, second):
                gr.Image(_overlaid(one), label=f"{one.score:.4f} {one.name}", **PICTURE)
        if places is not None:
            gr.Image(places, label="Red: the second photo is worse; blue: it is better", **PICTURE)
        profiles = zip(first.profile, second.profile, strict=True)
        gr.Dataframe(
            [
                (name, f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f}")
                for (name, a, _), (_, b, _) in profiles
            ],
            headers=["Profile", "first", "second", "difference"], interactive=False,
            elem_id="qc-profiles",
        )  # fmt: skip


def _explain(scorer: PhotoScorer, photo: ScoredPhoto, panel: Panel) -> Explanation:
    """Explain a photo; a failure is shown on the page."""
    try:
        return scorer.explain(photo, panel)
    except (ValueError, RuntimeError, MemoryError) as err:
        raise gr.Error(escape(first_line(err)), print_exception=False) from err


def _overlaid(explained: Explanation) -> NDArray[Any]:
    return overlay(explained.photo, explained.maps[0], explained.panels[0].colours)


def _legend(panel: Panel) -> str:
    style = "display: inline; width: 5rem; height: .5rem; margin: 0 .5rem; border-radius: 1rem"
    return f'{panel.low}<img style="{style}" src="{legend(panel.colours)}" alt="to">{panel.high}'


def _summary(photos: Sequence[ScoredPhoto]) -> str:
    """Summarise in one line: how many, their mean, how many failed."""
    scores = [photo.score for photo in photos if photo.score is not None]
    failed = len(photos) - len(scores)
    parts = [f"{len(photos)} photo{'' if len(photos) == 1 else 's'}"]
    parts += [f"mean {sum(scores) / len(scores):.4f}"] if scores else []
    parts += [f"{failed} could not be scored"] if failed else []
    return ", ".join(parts)
