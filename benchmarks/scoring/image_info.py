"""Digest and size of image files before they are decoded, kept in a cache.

Hashing a large set takes minutes, so the answers are cached by path, length and modification time.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from PIL import Image

from benchmarks.results.store import write_parquet

__all__ = ["image_info"]

COLUMNS = ("path", "bytes", "modified", "digest", "height", "width")
_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width."""

_Key = tuple[str, int, int]
_Info = tuple[str, str, int, int]


def image_info(paths: Sequence[str], cache: Path) -> pd.DataFrame:
    """Find ``path``, ``digest`` (SHA-256, hex), ``height`` and ``width`` of files, in their order.

    ``cache`` is a Parquet file of earlier answers. Height and width are 0 where the header cannot
    be read; decoding will say why.
    """
    known = pd.read_parquet(cache) if cache.is_file() else pd.DataFrame(columns=list(COLUMNS))
    index = _by_key(known)
    stats = [(path, Path(path).stat()) for path in paths]
    keys = [(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats]
    fresh = [key for key in keys if key not in index]
    if fresh:
        with ThreadPoolExecutor(max_workers=4) as pool:
            answers = list(pool.map(_read, [key[0] for key in fresh]))
        rows = [(*key, *answer) for key, answer in zip(fresh, answers, strict=True)]
        new = pd.DataFrame(rows, columns=list(COLUMNS))
        known = pd.concat([known, new], ignore_index=True) if len(known) else new
        known = known.drop_duplicates("path", keep="last")
        write_parquet(known, cache, {})
        index |= _by_key(new)
    found = [index[key] for key in keys]
    return pd.DataFrame(found, columns=["path", "digest", "height", "width"])


def _by_key(known: pd.DataFrame) -> dict[_Key, _Info]:
    return {
        (r["path"], r["bytes"], r["modified"]): (r["path"], r["digest"], r["height"], r["width"])
        for r in known.to_dict("records")
    }


def _read(path: str) -> tuple[str, int, int]:
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in _TURNED
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return digest, 0, 0
    return (digest, width, height) if turned else (digest, height, width)
