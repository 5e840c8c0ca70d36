"""How files are read while others are scored: in threads, in processes where they must be ended."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from qualiclip_metric import decoding
from qualiclip_metric.decoding.process import DecoderProcess
from qualiclip_metric.scoring.batches import Pixels, Size

NOISY_SUFFIXES = frozenset({".tif", ".tiff"})
"""Files whose decoder (libtiff) prints on stderr: it gets a process, which keeps that to itself."""


@contextmanager
def _on_disk(image: decoding.Source) -> Iterator[str | Path]:
    """A path for another process; what is in memory gets a file for the time being."""
    if not isinstance(image, decoding.Encoded):
        yield image
        return
    with TemporaryDirectory(prefix="qualiclip-") as folder:
        path = Path(folder, "image").with_suffix(Path(image.name).suffix)
        path.write_bytes(image.content)
        try:
            yield path
        except decoding.ImageError as err:
            raise decoding.ImageError(str(err).replace(str(path), image.name)) from err


class Reader:
    """Sizes and pixels of files; what cannot be read becomes its reason. Any threads may ask.

    Args:
        background: RGB in 0..255 under transparent pixels.
        max_pixels: A file whose header promises more is not decoded.
        allow_truncated: Whether a file that ends too early is read.
        timeout: Seconds that one file may take.
        side: Shorter side that the images will be reduced to; see `decoding.pixels`.
    """

    def __init__(
        self,
        background: decoding.RGB = decoding.WHITE,
        max_pixels: int = decoding.MAX_PIXELS,
        allow_truncated: bool = False,
        timeout: float | None = None,
        side: int = 0,
    ) -> None:
        self.background, self.timeout = background, timeout
        self.options: dict[str, Any] = {
            "max_pixels": max_pixels,
            "allow_truncated": allow_truncated,
            "side": side,
        }
        self._of_thread = threading.local()
        self._processes: list[DecoderProcess] = []

    def size(self, image: decoding.Source) -> Size:
        """Size by the file's header; 0x0 where it cannot be read, decoding will then say why."""
        limit = self.options["max_pixels"]
        try:
            if self.timeout is None:
                return decoding.size(image, max_pixels=limit)
            with _on_disk(image) as path:
                return self._process().size(path, max_pixels=limit)
        except decoding.ImageError:
            return 0, 0

    def pixels(self, image: decoding.Source) -> Pixels | str:
        """The file's pixels, or the reason why there are none."""
        suffix = Path(str(image)).suffix.lower()
        try:
            if self.timeout is None and suffix not in NOISY_SUFFIXES:
                return decoding.pixels(image, self.background, **self.options)
            with _on_disk(image) as path:
                return self._process().pixels(path, self.background, **self.options)
        except decoding.ImageError as err:
            return str(err).removeprefix(f"{image}: ")

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.close()

    def _process(self) -> DecoderProcess:
        """The decoder of this thread."""
        process: DecoderProcess | None = getattr(self._of_thread, "process", None)
        if process is None:
            process = self._of_thread.process = DecoderProcess(self.timeout)
            self._processes.append(process)
        return process
