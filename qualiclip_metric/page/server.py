"""The page served on this machine: no network, a folder of its own that goes when it closes."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qualiclip_metric.metric import QualiCLIP

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'self'"
)
"""Content-Security-Policy: the browser itself refuses to load anything from elsewhere."""
NARROW = "@media (max-width: 600px) { .gradio-container .app { padding: .75rem !important; } }"
"""A rule about the whole page, which Gradio would not let a css do."""
FONTS = ("system-ui", "sans-serif")
MONO = ("ui-monospace", "monospace")


@contextmanager
def own_folder() -> Iterator[Path]:
    """A folder for uploads and downloads, removed with all that is in it at the end.

    Gradio reads its name from the environment when it is imported, so this comes first.
    """
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="qualiclip-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        tempfile.tempdir = folder  # an upload that is cut off ends here, too
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before


def serve(
    metric: "QualiCLIP",
    folder: Path,
    *,
    host: str,
    port: int | None,
    max_bytes: int,
    ready: Callable[[str], None],
) -> None:
    """Serve the page until an exception ends it: Ctrl-C, SIGTERM.

    Args:
        metric: What scores.
        folder: What `own_folder` made.
        host: Name or address to listen on.
        port: Port; the first free one from 7860 on if None.
        max_bytes: Largest file that is taken.
        ready: Called with the page's address once it is there.

    Raises:
        OSError: When the port is taken or cannot be listened on.
    """
    import gradio as gr

    from qualiclip_metric.page.blocks import build
    from qualiclip_metric.page.parts import CSS

    blocks, stop = build(metric, folder)
    try:
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                max_file_size=max_bytes,
                theme=gr.themes.Base(primary_hue="blue", font=FONTS, font_mono=MONO),
                head=f"<style>{NARROW}</style>",
                css=CSS.read_text(encoding="utf-8"),
                app_kwargs={"middleware": [_middleware()]},
                prevent_thread_lock=True,
                quiet=True,
                **CLOSED,
            )
        except OSError as err:
            if port is None:
                raise
            raise OSError(
                f"cannot listen on port {port} of {host}: is it taken? Choose another, or none for "
                "the first free from 7860"
            ) from err
        ready(address)
        threading.Event().wait()
    finally:
        blocks.close(verbose=False)
        stop()


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
"""What Gradio could open, and variables of the environment could switch on."""


def _middleware() -> Any:
    from starlette.middleware import Middleware

    return Middleware(_Headers)


class _Headers:
    """Adds headers to every answer.

    Args:
        app: What answers.
    """

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
