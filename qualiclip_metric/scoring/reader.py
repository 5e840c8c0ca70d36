"""Sizes and pixels of images, read by many threads at once."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qualiclip_metric import decoding
from qualiclip_metric.decoding.formats import NOISY_SUFFIXES
from qualiclip_metric.scoring.batches import Pixels, Size
from qualiclip_metric.scoring.options import ScoreOptions

if TYPE_CHECKING:
    from qualiclip_metric.decoding.process import DecoderProcess


Image = decoding.Source | Pixels
"""An image in a file, or its pixels."""


class Reader:
    """Thread-safe reader; returns sizes, and pixels or an error message.

    `side` is the shorter side to which the metric reduces images; see `decoding.pixels`.
    """

    def __init__(self, options: ScoreOptions, side: int = 0) -> None:
        self.timeout = options.timeout
        self.limits: dict[str, Any] = {
            "max_pixels": options.max_pixels,
            "allow_truncated": options.allow_truncated,
        }
        self.look = {"background": options.background, "colour": options.colour, "side": side}
        self._local = threading.local()
        self._processes: list[DecoderProcess] = []

    def size(self, image: Image) -> Size:
        """Height and width by the file's header; 0x0 if unreadable, `pixels` then says why."""
        if isinstance(image, np.ndarray):
            height, width, _ = image.shape
            return height, width
        try:
            height, width = self._call(image, "size", self.timeout is not None, **self.limits)
        except decoding.ImageError:
            return 0, 0
        return height, width

    def pixels(self, image: Image, whole: bool = False) -> Pixels | str:
        """Read pixels, or return an error message; `whole` decodes a JPEG at its own size."""
        if isinstance(image, np.ndarray):
            return image
        noisy = Path(str(image)).suffix.lower() in NOISY_SUFFIXES
        options = {**self.look, **self.limits, **({"side": 0} if whole else {})}
        try:
            in_process = noisy or self.timeout is not None
            pixels: Pixels = self._call(image, "pixels", in_process, **options)
        except decoding.ImageError as err:
            return str(err).removeprefix(f"{image}: ")
        return pixels

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.close()

    def _call(self, image: decoding.Source, function: str, in_process: bool, **options: Any) -> Any:
        """Call a function of `decoding`, here or in this thread's process."""
        if not in_process:
            return getattr(decoding, function)(image, **options)
        from qualiclip_metric.decoding.process import DecoderProcess

        process: DecoderProcess | None = getattr(self._local, "process", None)
        if process is None:
            process = self._local.process = DecoderProcess(self.timeout)
            self._processes.append(process)
        return process.call(function, image, **options)
