"""Raw data of cameras, developed by LibRaw (rawpy) in a process of its own.

LibRaw develops truncated files without an error and says so on stderr only, which a process of its
own collects; and a crash of LibRaw ends only that process.
"""

import json
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
    """Read width and height before orientation; ValueError for a file far too small."""
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
    """Develop a photo as the camera balanced it: 8 bits, sRGB, upright."""
    script = str(Path(__file__).with_name("develop.py"))
    code = f"import runpy; runpy.run_path({script!r}, run_name='__main__')"
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
