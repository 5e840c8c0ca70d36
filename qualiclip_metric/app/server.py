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

POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'self'"
)
"""Content-Security-Policy: the browser loads nothing from elsewhere."""
NARROW = "@media (max-width: 600px) { .gradio-container .app { padding: .75rem !important; } }"
"""Goes into the page's head: Gradio confines rules of `css` to its own container."""
FONTS = ("system-ui", "sans-serif")
MONO = ("ui-monospace", "monospace")


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder for uploads and downloads; it is removed with its content at the end.

    Gradio reads its name from the environment when it is imported, so this comes first.
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

    from qualiclip_metric.app.blocks import build
    from qualiclip_metric.app.parts import CSS

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
                f"cannot listen on port {port} of {host}: is it in use? Choose another, or "
                "none for the first free one from 7860"
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
"""Everything that Gradio could open to others, also if the environment asks for it."""


def _middleware() -> Any:
    from starlette.middleware import Middleware

    return Middleware(_Headers)


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
