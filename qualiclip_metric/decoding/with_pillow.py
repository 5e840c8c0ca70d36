"""Files that Pillow opens, with corrections of its wrong and missing readings."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImagePalette, TiffImagePlugin, UnidentifiedImageError

from qualiclip_metric.decoding.formats import CURE, FORMATS, format_of, pillow_formats
from qualiclip_metric.decoding.source import Encoded, Source, open_binary


def open_image(source: Source, head: bytes) -> Image.Image:
    """Open a file whose first bytes are `head`; nothing is decoded yet.

    Raises UnidentifiedImageError for an unknown format; ValueError, with the reason, when the file
    of a known one cannot be opened.
    """
    try:
        image: Image.Image = Image.open(_readable(source), formats=pillow_formats())
    except UnidentifiedImageError:
        name = format_of(head)
        repaired = _repaired(name, source)
        if repaired is None:
            if not name:
                raise
            raise ValueError(_refusal(name, source)) from None
        image = repaired
    if read_cicp := _CICP.get(image.format or ""):
        image.info["cicp"] = read_cicp(source)
    return image


def mended(image: Image.Image, source: Source) -> Image.Image:
    """Correct Pillow's wrong readings of the image's format, before it is decoded."""
    mend = _MENDS.get(image.format or "")
    return image if mend is None else mend(image, source)


def _readable(source: Source) -> str | Path | BytesIO:
    return BytesIO(source.content) if isinstance(source, Encoded) else source


def _repaired(name: str, source: Source) -> Image.Image | None:
    """The image if a repair lets Pillow open it."""
    if name not in _REPAIRS:
        return None
    with open_binary(source) as file:
        content = _REPAIRS[name](file.read())
    with suppress(UnidentifiedImageError):
        return None if content is None else Image.open(BytesIO(content), formats=[name])
    return None


def _refusal(name: str, source: Source) -> str:
    """Why a file whose format is known was not opened."""
    package = next((one.package for one in FORMATS if one.pillow == name), None)
    if package is None:
        return f"a {name} file: convert or unpack it"
    if name not in Image.OPEN:
        return f"needs {package}; {CURE}" if package else f"needs a build of Pillow with {name}"
    with open_binary(source) as file:
        try:
            Image.OPEN[name][0](file, "")
        except Exception as err:  # Image.open hides it
            return f"{name}: {err}"
    return f"a {name} file of an unknown kind"


_JPEG_METADATA = {b"JFIF\0": 14, b"Adobe": 12, b"ICC_PROFILE\0": 15, b"Exif\0\0": 14}
"""Beginnings of the metadata segments that count for the picture -> their least size."""


def _without_metadata(content: bytes) -> bytes:
    """Drop a JPEG's application segments but those of `_JPEG_METADATA`, where they are whole.

    Pillow refuses a file with a segment that is too short, an empty JFIF segment for example.
    """
    kept, at = [content[:2]], 2
    while content[at : at + 1] == b"\xff" and content[at + 1] != 0xDA:  # up to the scan
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : end]
        least = next((n for start, n in _JPEG_METADATA.items() if body.startswith(start)), None)
        if not 0xE0 <= content[at + 1] <= 0xEF or (least is not None and len(body) >= least):
            kept.append(content[at:end])
        at = end
    return b"".join([*kept, content[at:]])


def _with_one_association(content: bytes) -> bytes | None:
    from qualiclip_metric.decoding import isobmff

    return isobmff.with_one_association(content)


_REPAIRS: dict[str, Callable[[bytes], bytes | None]] = {
    "AVIF": _with_one_association,
    "JPEG": _without_metadata,
}
"""Format -> function that repairs the content of a file that Pillow refuses."""


def _png_cicp(source: Source) -> tuple[int, int] | None:
    """Primaries and transfer of the cICP chunk (PNG, third edition), which Pillow leaves out."""
    with open_binary(source) as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            size = int.from_bytes(head[:4], "big")
            if head[4:] == b"cICP":
                data = file.read(2)
                return (data[0], data[1]) if len(data) == 2 else None
            file.seek(size + 4, 1)
    return None


def _box_cicp(source: Source) -> tuple[int, int] | None:
    from qualiclip_metric.decoding import isobmff

    with open_binary(source) as file:
        return isobmff.cicp(file)


_CICP = {"AVIF": _box_cicp, "HEIF": _box_cicp, "PNG": _png_cicp}
"""Format -> reader of its colours' code points."""


def _by_opencv(image: Image.Image, source: Source, bits: int = 8) -> Image.Image:
    """Decode with OpenCV, which pyiqa requires; of more than 8 bits per channel the highest 8."""
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
    decoded = Image.fromarray(np.ascontiguousarray(array))
    decoded.info = {key: value for key, value in image.info.items() if key != "transparency"}
    decoded.getexif()[0x0112] = image.getexif().get(0x0112, 1)
    return decoded


def _mended_png(image: Image.Image, source: Source) -> Image.Image:
    """A transparent value has the file's depth, Pillow compares it with 8 bits."""
    assert isinstance(image, ImageFile.ImageFile)
    rawmode = image.tile[0][3] if image.tile else ""
    if "transparency" in image.info:
        if rawmode in ("L;2", "L;4"):
            image.info["transparency"] *= {"L;2": 255 // 3, "L;4": 255 // 15}[rawmode]
        if rawmode == "RGB;16B":
            image.load()  # finds truncated files
            return _by_opencv(image, source, 16)
    return image


def _mended_bmp(image: Image.Image, source: Source) -> Image.Image:
    """Pillow loses its place in run-length codes: odd runs of 4 bits, data at an odd offset."""
    return _by_opencv(image, source) if image.info.get("compression") in (1, 2) else image


def _mended_gif(image: Image.Image, source: Source) -> Image.Image:
    """A first frame smaller than the screen: the rest is transparent."""
    assert isinstance(image, ImageFile.ImageFile)
    box = image.tile[0][1] if image.tile else None
    if box is None or box == (0, 0, *image.size):
        return image
    canvas = Image.new("RGBA", image.size)
    canvas.paste(image.convert("RGBA").crop(box), box[:2])
    return canvas


def _mended_jpeg2000(image: Image.Image, source: Source) -> Image.Image:
    """Pillow wraps white of more than 8 bits to black in colour, and darkens less than 8 bits."""
    with open_binary(source) as file:
        content = file.read()
    # SIZ, the first marker of the code stream: bits - 1 of the first channel is its byte 40
    bits = (content[content.find(b"\xff\x4f\xff\x51") + 42] & 0x7F) + 1
    if bits > 8 and image.mode in ("RGB", "RGBA"):
        image.load()  # finds truncated files, which OpenCV reads
        return _by_opencv(image, source, bits)
    if bits > 8 and image.mode == "LA":
        raise ValueError(f"JPEG 2000 of grey and alpha with {bits} bits, which nothing here reads")
    if bits < 8:
        white = 2**bits - 1
        return image.point([(v >> (8 - bits)) * 255 // white for v in range(256)] * len(image.mode))
    return image


def _mended_tiff(image: Image.Image, source: Source) -> Image.Image:
    """A colour map whose largest value is below 256 has 8 bits, as libtiff takes it."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    values = image.tag_v2.get(320, ())
    if image.mode == "P" and values and max(values) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(values))
    return image


_MENDS: dict[str, Callable[[Image.Image, Source], Image.Image]] = {
    "BMP": _mended_bmp,
    "DIB": _mended_bmp,
    "GIF": _mended_gif,
    "JPEG2000": _mended_jpeg2000,
    "PNG": _mended_png,
    "TIFF": _mended_tiff,
}


class _PillowSwitches:
    """Pillow's global switches and its warnings, set while files are read, restored afterwards.

    Any number of threads may read with the same values; others wait. Other packages (pyiqa among
    them) turn `LOAD_TRUNCATED_IMAGES` on for good.
    """

    def __init__(self) -> None:
        self.free = threading.Condition()
        self.inside = 0
        self.values: tuple[bool, int] = (False, 0)
        self.outside: tuple[bool, int | None] = (False, None)

    @contextmanager
    def set(self, allow_truncated: bool, max_pixels: int) -> Iterator[None]:
        """Set the switches for the block; `max_pixels` is Pillow's limit, also of inner frames."""
        wanted = (allow_truncated, max_pixels)
        with self.free:
            self.free.wait_for(lambda: not self.inside or self.values == wanted)
            if not self.inside:
                self.values = wanted
                self.outside = (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)
                ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = wanted
                # damaged metadata, with which viewers show the image; large images, which are
                # refused by their header
                warnings.filterwarnings("ignore", module=r"PIL\.")
                self.silenced = warnings.filters[0]
            self.inside += 1
        try:
            yield
        finally:
            with self.free:
                self.inside -= 1
                if not self.inside:
                    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = self.outside
                    with suppress(ValueError):  # somebody else has reset the filters
                        warnings.filters.remove(self.silenced)  # type: ignore[attr-defined]
                    self.free.notify_all()


switches = _PillowSwitches()
