"""Script of the process that develops raw data: no import of this package, so that it starts fast.

Its argument is a file; without one it reads the content from stdin. It writes a line of JSON with
the shape or the error, and the pixels, to stdout.
"""

import json
import os
import sys
from io import BytesIO

import numpy as np
import rawpy


def main() -> None:
    """Develop one photo."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # LibRaw prints; that is no part of the answer
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


if __name__ == "__main__":
    main()
