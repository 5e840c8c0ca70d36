"""Raw data of cameras, developed by LibRaw (rawpy) in a process of its own.

LibRaw develops truncated files without an error and says so on stderr only, which a process of its
own collects; and a crash of LibRaw ends only that process.
"""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from qualiclip_metric.decoding.source import Encoded, Source, byte_count

_COMPLAINTS = ("end of file", "end of jpeg", "data corrupted", "unexpected eof")
"""Words of LibRaw and its JPEG decoder about data that is missing or damaged."""
_PIXELS_PER_BYTE = 32
"""A file with fewer bytes than this holds no picture; lossy raw data has about .5 pixels a byte."""


def size(source: Source) -> tuple[int, int]:
    """Width and height by the header, before orientation.

    Raises:
        ValueError: When the file is far too small for its pixels.
    """
    import rawpy

    with rawpy.RawPy() as raw:
        if isinstance(source, Encoded):
            raw.open_buffer(BytesIO(source.content))
        else:
            raw.open_file(str(source))
        width, height = raw.sizes.iwidth, raw.sizes.iheight
    if width * height > _PIXELS_PER_BYTE * (count := byte_count(source)):
        raise ValueError(f"truncated: {count} bytes for {width}x{height} pixels")
    return width, height


def decode(source: Source, allow_truncated: bool) -> Image.Image:
    """Develop a photo as the camera balanced it: 8 bits, sRGB, upright.

    Raises:
        ValueError: When LibRaw fails, crashes or finds the data damaged or missing.
    """
    root = str(Path(__file__).parents[2])
    code = f"import sys; sys.path.insert(0, {root!r}); from {__name__} import _serve; _serve()"
    content = isinstance(source, Encoded)
    process = subprocess.run(
        [sys.executable, "-c", code, *([] if content else [str(source)])],
        input=source.content if isinstance(source, Encoded) else b"",
        capture_output=True,
        check=False,
    )
    header, _, pixels = process.stdout.partition(b"\n")
    said = process.stderr.decode(errors="replace").strip()
    if process.returncode or not header:
        raise ValueError(f"LibRaw ended with code {process.returncode}")
    reply = json.loads(header)
    if "error" in reply:
        raise ValueError(reply["error"])
    if not allow_truncated and any(word in said.lower() for word in _COMPLAINTS):
        raise ValueError(f"truncated or damaged: LibRaw says {said.splitlines()[0][:200]!r}")
    array = np.frombuffer(pixels, np.uint8).reshape(reply["shape"])
    if array.min() == array.max():
        raise ValueError("no picture: all pixels have one value")
    return Image.fromarray(array)


def _serve() -> None:
    """Run in the process: write a header of JSON and the pixels to stdout."""
    import rawpy

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever LibRaw prints is no part of the answer
    file = sys.argv[1] if len(sys.argv) > 1 else BytesIO(sys.stdin.buffer.read())
    try:
        with rawpy.imread(file) as raw:
            array = np.ascontiguousarray(raw.postprocess(use_camera_wb=True))
    except Exception as err:
        words = err.args[0] if err.args else type(err).__name__
        reason = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
        out.write(json.dumps({"error": reason}).encode() + b"\n")
    else:
        out.write(json.dumps({"shape": array.shape}).encode() + b"\n")
        out.write(array.data)
    out.flush()
