"""The table of image formats: suffixes, signatures, and the packages that read them."""

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class ImageFormat:
    """An image format that is read; in folders, files are recognised by suffix."""

    pillow: str  # Pillow's name of it; empty for what Pillow does not read
    suffixes: str  # in lower case
    package: str = ""  # optional one that reads it; empty if none is needed


CAMERA_RAW = ImageFormat(
    "",
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef"
    " .raf .rw2 .rwl .sr2 .srf .srw .x3f",
    package="rawpy",
)
"""Sensor data of cameras."""

FORMATS = (
    ImageFormat("AVIF", ".avif"),
    ImageFormat("BMP", ".bmp"),
    ImageFormat("DIB", ".dib"),
    ImageFormat("GIF", ".gif"),
    ImageFormat("HEIF", ".heic .heif .hif", package="pillow_heif"),
    ImageFormat("ICO", ".ico"),
    ImageFormat("JPEG", ".jpg .jpeg .jpe .jfif .mpo"),
    ImageFormat("JPEG2000", ".jp2 .j2k .j2c .jpf .jpx"),
    ImageFormat("PCX", ".pcx"),
    ImageFormat("PNG", ".png .apng"),
    ImageFormat("PPM", ".pbm .pfm .pgm .pnm .ppm"),
    ImageFormat("QOI", ".qoi"),
    ImageFormat("SGI", ".sgi"),
    ImageFormat("TGA", ".tga"),
    ImageFormat("TIFF", ".tif .tiff"),
    ImageFormat("WEBP", ".webp"),
    CAMERA_RAW,
)
"""Pillow's other formats call programs or hold no photos."""

_BY_SUFFIX = {suffix: one for one in FORMATS for suffix in one.suffixes.split()}

SUFFIXES = frozenset(suffix for suffix, one in _BY_SUFFIX.items() if not one.package)
"""Suffixes that are read without optional packages."""

NOISY_SUFFIXES = frozenset({".tif", ".tiff"})
"""libtiff prints on stderr: these files are read in a process that catches it."""

CURE = "pip install 'qualiclip-metric[formats]' lets it be read"

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (8, b"WEBP", "WEBP"),
    (8, b"CR\x02", "RAW"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypcrx ", "RAW"),
    *((4, b"ftyp" + brand, "HEIF") for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim")),
    *((4, b"ftyp" + brand, "HEIF") for brand in (b"mif1", b"msf1", b"hevm", b"hevs", b"heis")),
    (0, b"\0\0\0\x0cjP  ", "JPEG2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG2000"),
    *((0, magic, "RAW") for magic in (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")),  # Olympus, Panasonic
    *((0, magic, "RAW") for magic in (b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb")),
    (6, b"HEAPCCDR", "RAW"),
    # Not read: known by name, so that the error can say what the file is.
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"%!PS", "PostScript"),
    (0, b"%PDF", "PDF"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"DDS ", "DDS"),
    (0, b"<svg", "SVG"),
    (0, b"\x93NUMPY", "NumPy"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf", "7z"),
    (0, b"Rar!", "RAR"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\0", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"PAR1", "Parquet"),
    (257, b"ustar", "tar"),
)
"""Offset, bytes, name. A TIFF may still be a camera's raw data: see `with_tifffile.is_raw`."""

HEAD = 264
"""Bytes at the start of a file that the signatures need."""


def format_of(head: bytes) -> str:
    """The format's name by the first `HEAD` bytes of a file; empty where no signature fits."""
    fits = (name for at, magic, name in _SIGNATURES if head.startswith(magic, at))
    return next(fits, "")


def installed(package: str) -> bool:
    """Whether an optional package is installed."""
    return find_spec(package) is not None


def missing_package(path: str | Path) -> str | None:
    """Return the missing package that a file needs by its suffix; None if there is none.

    A build of Pillow without AVIF needs another build of Pillow.
    """
    one = _BY_SUFFIX.get(Path(path).suffix.lower())
    if one is None:
        return None
    if one.package:
        return None if installed(one.package) else one.package
    return None if one.pillow != "AVIF" or "AVIF" in pillow_formats() else "pillow with AVIF"


def is_image(path: str | Path) -> bool:
    """Whether a file's suffix is that of an image, readable here or not."""
    return Path(path).suffix.lower() in _BY_SUFFIX


def has_raw_suffix(path: str | Path) -> bool:
    """Whether a file's suffix is that of a camera's raw data."""
    return _BY_SUFFIX.get(Path(path).suffix.lower()) is CAMERA_RAW


@cache
def pillow_formats() -> tuple[str, ...]:
    """Formats that Pillow may open: those of `FORMATS` that it has, HEIF with its package."""
    from PIL import Image

    Image.init()
    if installed("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
    return tuple(one.pillow for one in FORMATS if one.pillow in Image.OPEN)
