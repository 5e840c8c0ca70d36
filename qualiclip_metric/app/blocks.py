"""The app's controls and their handlers. Gradio is imported here and in `server` alone."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from qualiclip_metric.app import parts
from qualiclip_metric.app.photos import (
    ScoredPhoto,
    as_csv,
    explained,
    in_order,
    panels_of,
    scored,
)
from qualiclip_metric.explanations.explanation import Explanation, Panel
from qualiclip_metric.files import first_line
from qualiclip_metric.metric import QualiCLIP

CSV = "scores.csv"
ORDERS = ("Best first", "Worst first")
CLICK = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-index]');
  if (!row) return;
  element.querySelectorAll('[aria-current]').forEach((one) => one.removeAttribute('aria-current'));
  row.setAttribute('aria-current', 'true');
  window.qualiclipAsked = true;
  trigger('click', {index: Number(row.dataset.index)});
});
"""
SLIDE = """
element.addEventListener('input', (event) => {
  if (event.target.type === 'range')
    element.style.setProperty('--qc-map', event.target.value / 100);
});
watch('value', () => {
  if (window.qualiclipAsked && window.innerWidth < 900)
    element.scrollIntoView({behavior: 'smooth', block: 'start'});
  window.qualiclipAsked = false;
});
"""
HEAD = (
    '<div class="qc-head"><h1>How good do your photos look?</h1>'
    "<p>Scored on this machine: nothing is sent anywhere, and your photos are removed when the app "
    "ends.</p></div>"
)
NOTHING = parts.EMPTY.format("Drop photos, then choose one<br>to see what takes its score down.")
NO_PAIR = parts.EMPTY.format("With two photos, their difference is shown here.")
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal"}


def build(metric: QualiCLIP, folder: Path) -> tuple[gr.Blocks, Callable[[], None]]:
    """Build the page, not yet served, and a function that stops its work.

    The function waits until a running forward pass ends. `folder` gets the csv files that visitors
    download.
    """
    page = _Page(metric, folder)
    with gr.Blocks(title="QualiCLIP", analytics_enabled=False, fill_width=True) as blocks:
        gr.HTML(HEAD)
        with gr.Row():
            with gr.Column(scale=4, min_width=320):
                page.lay_out_list()
            with gr.Column(scale=7, min_width=320):
                page.lay_out_photos()
        signature = metric.signature and metric.signature.of_files("srgb")
        name = signature.model if signature else "custom"
        gr.HTML(
            f'<p class="qc-foot">Model <b>{escape(name)}</b>, '
            f"signature <code>{escape(str(signature))}</code>. Quote it with the scores: "
            "those of different signatures cannot be compared.</p>"
        )
        page.connect()
    return blocks, page.stop


class _Page:
    """Components and their handlers; a visitor's state is in `photos` and `chosen`."""

    def __init__(self, metric: QualiCLIP, folder: Path) -> None:
        self.metric, self.downloads = metric, folder
        self.panels = panels_of(metric)
        self.working, self.stopped = threading.Lock(), False

    def stop(self) -> None:
        """Accept no more work: the interpreter must not exit during a forward pass."""
        self.stopped = True
        with self.working:
            return

    def lay_out_list(self) -> None:
        """Lay out the left side: the drop area and the sorted list."""
        self.photos, self.chosen = gr.State([]), gr.State(None)
        self.files = gr.File(
            label="Drop photos here", file_count="multiple", height=150, elem_id="qc-drop"
        )
        with gr.Row():
            self.folder = gr.UploadButton(
                "Choose a folder", file_count="directory", size="sm", elem_id="qc-folder"
            )
            self.clear = gr.Button("Start over", size="sm", elem_id="qc-clear")
        self.status = gr.HTML('<p class="qc-status"></p>')
        with gr.Column(visible=False) as self.results:
            self.order = gr.Radio(ORDERS, value=ORDERS[0], show_label=False, container=False)
            self.list = gr.HTML(js_on_load=CLICK, elem_id="qc-photos")
            self.csv = gr.DownloadButton("Download as csv", size="sm", elem_id="qc-csv")

    def lay_out_photos(self) -> None:
        """Lay out the right side: one photo, or two."""
        with gr.Tabs():
            with gr.Tab("One photo"):
                titles = [(panel.title.capitalize(), panel.title) for panel in self.panels]
                self.map = gr.Radio(
                    titles,
                    value=titles[0][1],
                    show_label=False,
                    container=False,
                    visible=len(titles) > 1,
                    elem_id="qc-map",
                )
                self.one = gr.HTML(NOTHING, js_on_load=SLIDE, elem_id="qc-one")
            with gr.Tab("Two photos"):
                with gr.Row():
                    self.first = gr.Dropdown([], label="First", min_width=140, elem_id="qc-first")
                    self.second = gr.Dropdown(
                        [], label="Second", min_width=140, elem_id="qc-second"
                    )
                self.two = gr.HTML(NO_PAIR, js_on_load=SLIDE, elem_id="qc-two")

    def connect(self) -> None:
        """Connect controls with handlers."""
        shown = [self.photos, self.chosen, self.status, self.results, self.list, self.csv]
        pair = [self.first, self.second]
        for source in (self.files, self.folder):
            added = source.upload(
                self.add, [source, self.photos, self.chosen, self.order], [*shown, self.files],
                **PRIVATE,
            )  # fmt: skip
            added.then(self.open, [self.photos, self.chosen, self.map], self.one, **PRIVATE)
            added.then(self.choices, [self.photos, *pair], pair, **PRIVATE).then(
                self.compare, [self.photos, *pair], self.two, **PRIVATE
            )
        self.order.input(
            self.sort, [self.photos, self.chosen, self.order], [self.list, self.csv], **PRIVATE
        )
        self.list.click(self.choose, None, self.chosen, **PRIVATE).then(
            self.open, [self.photos, self.chosen, self.map], self.one, **PRIVATE
        )
        self.map.input(self.open, [self.photos, self.chosen, self.map], self.one, **PRIVATE)
        gr.on(
            [self.first.input, self.second.input],
            self.compare, [self.photos, *pair], self.two, **PRIVATE,
        )  # fmt: skip
        self.clear.click(self.start_over, None, [*shown, *pair, self.one, self.two], **PRIVATE)

    def add(
        self, files: Any, photos: list[ScoredPhoto], chosen: int | None, order: str
    ) -> Iterator[list[Any]]:
        """Score uploaded files; the list grows meanwhile."""
        paths = [Path(name) for name in ([files] if isinstance(files, str) else files or [])]
        photos, start, pause = list(photos), time.monotonic(), 1.0
        for count, photo in enumerate(self._scored(paths), start=1):
            photos.append(photo)
            if time.monotonic() - start > pause:  # ever more rarely, as each update sends all rows
                pause *= 2
                listed = parts.photo_list(photos, in_order(photos, order == ORDERS[1]), chosen)
                yield [
                    photos, chosen, _status(f"{count} of {len(paths)} scored"),
                    gr.update(visible=True), listed, gr.skip(), gr.skip(),
                ]  # fmt: skip
        ranked = in_order(photos, order == ORDERS[1])
        if chosen is None and ranked and photos[ranked[0]].score is not None:
            chosen = ranked[0]
        listed, file = self.sort(photos, chosen, order)
        yield [
            photos, chosen, _status(_summary(photos)),
            gr.update(visible=bool(photos)), listed, file, None,
        ]  # fmt: skip

    def _scored(self, paths: Sequence[Path]) -> Iterator[ScoredPhoto]:
        results = scored(self.metric, paths)
        while not self.stopped:
            with self.working:
                photo = next(results, None)
            if photo is None:
                return
            yield photo

    def _explained(self, photo: ScoredPhoto, panel: Panel) -> Explanation:
        with self.working:
            if self.stopped:
                raise RuntimeError("the page was closed")
            return explained(self.metric, photo, panel)

    def sort(self, photos: list[ScoredPhoto], chosen: int | None, order: str) -> tuple[str, str]:
        """Sort the list, and write the csv file in the same order."""
        ranked = in_order(photos, order == ORDERS[1])
        file = Path(tempfile.mkdtemp(dir=self.downloads), CSV)
        rows = as_csv([photos[index] for index in ranked], str(self.metric.signature))
        file.write_bytes(rows.encode("utf-8", "surrogateescape"))
        return parts.photo_list(photos, ranked, chosen), str(file)

    def choose(self, event: gr.EventData) -> int:
        """Return the photo whose row was clicked."""
        return int(event.index)

    def open(self, photos: list[ScoredPhoto], chosen: int | None, title: str) -> str:
        """Show the chosen photo under a map."""
        if chosen is None or chosen not in range(len(photos)):
            return NOTHING
        panel = next(panel for panel in self.panels if panel.title == title)
        try:
            return parts.one_photo(self._explained(photos[chosen], panel))
        except (ValueError, RuntimeError, MemoryError) as err:
            return _failure(err)

    def choices(self, photos: list[ScoredPhoto], first: Any, second: Any) -> tuple[Any, Any]:
        """List the photos to compare; choose the best and the worst where none is chosen."""
        ranked = [index for index in in_order(photos, False) if photos[index].score is not None]
        names = [(f"{photos[index].name} ({photos[index].score:.4f})", index) for index in ranked]
        if len(ranked) > 1 and first is None and second is None:
            first, second = ranked[0], ranked[-1]
        return gr.update(choices=names, value=first), gr.update(choices=names, value=second)

    def compare(self, photos: list[ScoredPhoto], first: int | None, second: int | None) -> str:
        """Show two photos side by side, with their difference."""
        if first is None or second is None or not {first, second} <= set(range(len(photos))):
            return NO_PAIR
        try:
            one, other = (self._explained(photos[k], self.panels[0]) for k in (first, second))
            return parts.two_photos(one, other)
        except (ValueError, RuntimeError, MemoryError) as err:
            return _failure(err)

    def start_over(self) -> list[Any]:
        """Forget every photo."""
        empty = gr.update(choices=[], value=None)
        return [
            [], None, _status(""), gr.update(visible=False), "", None, empty, empty, NOTHING,
            NO_PAIR,
        ]  # fmt: skip


def _status(text: str) -> str:
    return f'<p class="qc-status" role="status">{escape(text)}</p>'


def _failure(err: BaseException) -> str:
    return parts.EMPTY.format(escape(first_line(err)))


def _summary(photos: Sequence[ScoredPhoto]) -> str:
    """Summarise in one line: how many, their mean, how many failed."""
    scores = [photo.score for photo in photos if photo.score is not None]
    failed = len(photos) - len(scores)
    text = f"{len(photos)} photo{'' if len(photos) == 1 else 's'}"
    if scores:
        text += f", mean {sum(scores) / len(scores):.4f}"
    return text + (f", {failed} could not be scored" if failed else "")
