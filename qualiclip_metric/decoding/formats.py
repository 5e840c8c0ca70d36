"""Which files are images: by suffix in a folder, by content when opened; what needs an extra."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

SUFFIXES = frozenset(
    ".avif .bmp .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pgm"
    " .png .pnm .ppm .qoi .tga .tif .tiff .webp".split()
)
"""Suffixes, in lower case, that make a file in a folder an image."""
HEIF_SUFFIXES = frozenset(".heic .heif .hif".split())
RAW_SUFFIXES = frozenset(".arw .cr2 .cr3 .dng .nef .nrw .orf .pef .raf .rw2 .srw".split())
FORMATS = tuple("AVIF BMP DIB GIF ICO JPEG JPEG2000 PCX PNG PPM QOI SGI TGA TIFF WEBP".split())
"""Formats that Pillow decodes, told by content. Its others call programs or hold no photos."""
CURE = "pip install 'qualiclip-metric[formats]' lets it be read"

_PACKAGES = {
    **dict.fromkeys(HEIF_SUFFIXES, "pillow_heif"),
    **dict.fromkeys(RAW_SUFFIXES, "rawpy"),
}


def missing_package(path: str | Path) -> str | None:
    """The package that a file needs by its suffix and that is not installed; None if there is none.

    A build of Pillow without AVIF needs another build of Pillow.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".avif" and "AVIF" not in pillow_formats():
        return "pillow with AVIF"
    package = _PACKAGES.get(suffix)
    return None if package is None or find_spec(package) else package


def is_image(path: str | Path) -> bool:
    """Whether a file's suffix is that of an image, readable here or not."""
    suffix = Path(path).suffix.lower()
    return suffix in SUFFIXES or suffix in _PACKAGES


def is_raw(path: str | Path) -> bool:
    """Whether a file's suffix is that of a camera's raw data."""
    return Path(path).suffix.lower() in RAW_SUFFIXES


@cache
def pillow_formats() -> tuple[str, ...]:
    """Formats that may be opened: those of `FORMATS` that Pillow has, HEIF with its package."""
    from PIL import Image

    Image.init()
    names = [name for name in FORMATS if name in Image.OPEN]
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        names.append("HEIF")
    return tuple(names)
