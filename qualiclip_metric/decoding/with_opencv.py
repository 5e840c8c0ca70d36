"""Files that Pillow reads wrongly and OpenCV, which pyiqa requires, reads right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.decoding.source import Source, open_binary


def decode(source: Source, bits: int = 8) -> Image.Image:
    """Decode RGB or RGBA; more than 8 bits per channel are reduced to the highest 8."""
    import cv2

    with open_binary(source) as file:
        content = np.frombuffer(file.read(), np.uint8)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        array: NDArray[Any] | None = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if array is None:
        raise ValueError("damaged, truncated, or a variant that OpenCV does not read")
    if array.ndim == 3:
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]  # BGR(A) -> RGB(A)
    if array.dtype == np.uint16:
        array = (array >> (bits - 8)).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))
