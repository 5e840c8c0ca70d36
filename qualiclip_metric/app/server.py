"""Serve the app on this machine: no network, and a folder that is removed when it closes."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP
    from qualiclip_metric.reference import Reference

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'self'"
)
"""Content-Security-Policy: the browser loads nothing from elsewhere."""
NARROW = "@media (max-width: 600px) { .gradio-container .app { padding: .75rem !important; } }"
"""Goes into the page's head: Gradio confines rules of `css` to its own container."""
CAPTIONS = "#qc-photos .caption-label { white-space: normal; left: 0; max-width: none; }"
"""Gradio cuts captions to one line."""
FONTS = ("system-ui", "sans-serif")
"""Gradio's themes load theirs from a server."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for uploads and downloads, and remove it at the end.

    To be entered before Gradio is imported, which then reads its name from the environment.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="qualiclip-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        tempfile.tempdir = folder  # an interrupted upload stays here
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def serve(
    metric: "QualiCLIP",
    reference: "Reference | None",
    folder: Path,
    *,
    host: str,
    port: int | None,
    max_bytes: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until an exception ends it: Ctrl-C, SIGTERM.

    The default port is the first free one from 7860 on. `ready` gets the address once the page is
    served. Raises OSError when the port is taken or cannot be listened on.
    """
    import gradio as gr
    from starlette.middleware import Middleware

    from qualiclip_metric.app.page import build
    from qualiclip_metric.app.photos import PhotoScorer

    scorer = PhotoScorer(metric, reference)
    blocks = build(scorer, folder)
    try:
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                max_file_size=max_bytes,
                theme=gr.themes.Base(primary_hue="blue", font=FONTS, font_mono=FONTS),
                head=f"<style>{NARROW}</style>",
                css=CAPTIONS,
                app_kwargs={"middleware": [Middleware(_Headers)]},
                prevent_thread_lock=True,
                quiet=True,
                **CLOSED,
            )
        except OSError as err:
            if port is None:
                raise
            raise OSError(
                f"cannot listen on port {port} of {host}: is it in use? Choose another, or "
                "none for the first free one from 7860"
            ) from err
        ready(address)
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)
        scorer.stop()


CLOSED: dict[str, Any] = {
    "share": False,
    "allowed_paths": [],
    "enable_monitoring": False,
    "footer_links": [],
    "inbrowser": False,
    "mcp_server": False,
    "pwa": False,
    "run_history": False,
    "ssr_mode": False,
}
"""All that Gradio can open to others, also where the environment asks for it."""


class _Headers:
    """ASGI middleware that adds headers to every response."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += [
                    (b"content-security-policy", POLICY.encode()),
                    (b"referrer-policy", b"no-referrer"),
                ]
            await send(message)

        await self.app(scope, receive, with_headers)
