"""TIFF variants that Pillow refuses or reads wrongly, by tifffile; and TIFF-like raw data."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2, TiffImageFile

from qualiclip_metric.decoding.convert import check_range
from qualiclip_metric.decoding.formats import CURE
from qualiclip_metric.decoding.source import Source, byte_count, open_binary

# Values of TIFF tags (TIFF 6.0; TIFF/EP and DNG for the last two)
MINISWHITE, MINISBLACK, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
CFA, LINEAR_RAW = 32803, 34892
UNCOMPRESSED, WEBP = 1, 50001
UNSIGNED, FLOAT = 1, 3
PLANAR = 2

RAW_PAGES = 4
"""Pages at the start of a file that are looked at for raw data; the first ones may be previews."""


def pillow_reads(source: Source) -> bool:
    """Whether Pillow reads this variant of TIFF, and right, as tests over all variants found."""
    try:
        with open_binary(source) as file, Image.open(file, formats=["TIFF"]) as image:
            assert isinstance(image, TiffImageFile)
            return _right_in_pillow(image.tag_v2, image.tag_v2._endian == ">")
    except UnidentifiedImageError:
        return False


def _right_in_pillow(tags: ImageFileDirectory_v2, big_endian: bool) -> bool:
    bits, planar = max(tags.get(258, (1,))), tags.get(284, 1) == PLANAR
    compression, photometric = tags.get(259, UNCOMPRESSED), tags.get(262)
    reversed_bits = tags.get(266, 1) == 2 and compression == UNCOMPRESSED
    if compression == WEBP or (photometric == YCBCR and (planar or compression == UNCOMPRESSED)):
        return False
    if bits <= 8:
        grey = photometric in (MINISWHITE, MINISBLACK)
        return not (planar and grey) and not (reversed_bits and (bits == 8 or not grey))
    sample_format = max(tags.get(339, (UNSIGNED,)))
    if bits == 16 and sample_format == UNSIGNED:
        packed = planar and compression == UNCOMPRESSED
        return photometric != MINISWHITE and not packed and not reversed_bits
    if bits == 32 and sample_format == FLOAT:
        swapped = big_endian and compression != UNCOMPRESSED
        return photometric == MINISBLACK and not swapped
    return False


def size(source: Source) -> tuple[int, int]:
    """Width and height by the header."""
    with _first_page(source) as page:
        return page.imagewidth, page.imagelength


def decode(source: Source, allow_truncated: bool) -> Image.Image:
    """Decode the first page; with `allow_truncated`, missing data is left black.

    Grey above 8 bits becomes floats in [0, 1]; colour, and grey with alpha, 8 bits. Raises
    ValueError when the page is truncated, or of a variant that is not read.
    """
    with _first_page(source) as page:
        if not allow_truncated:
            _check_extents(page, byte_count(source))
        try:
            image = _to_image(page)
        except ValueError as err:
            if "imagecodecs" not in str(err):
                raise
            raise ValueError(f"a TIFF of {_variant(page)} needs imagecodecs; {CURE}") from err
        if profile := page.tags.valueof(34675):
            image.info["icc_profile"] = bytes(profile)
        image.getexif()[0x0112] = int(page.tags.valueof(274) or 1)
        return image


@contextmanager
def _first_page(source: Source) -> Iterator[Any]:
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # it logs damage on stderr
    with open_binary(source) as file, tifffile.TiffFile(file) as tiff:
        yield tiff.pages.first


def _variant(page: Any) -> str:
    photometric, compression = (
        getattr(value, "name", str(value)).lower() for value in (page.photometric, page.compression)
    )
    kind = {1: "unsigned", 2: "signed", 3: "float"}.get(int(page.sampleformat), "other")
    planar = "planar" if int(page.planarconfig) == PLANAR else "contiguous"
    return (
        f"{page.samplesperpixel} x {page.bitspersample} bits {kind}, photometric {photometric}, "
        f"compression {compression}, {planar}"
    )


def _to_image(page: Any) -> Image.Image:
    samples, photometric = _samples(page), int(page.photometric)  # (H, W, C)
    fits = {MINISWHITE: 1, MINISBLACK: 1, PALETTE: 1, RGB: 3, SEPARATED: 4}.get(photometric, 9)
    extra = samples.shape[2] - fits
    if extra < 0:
        raise ValueError(f"a TIFF of {_variant(page)} is not read")
    if photometric == PALETTE:
        table = np.asarray(page.colormap).T  # (colours, 3), 16 bits, or 8 against the standard
        table = table if table.max() < 256 else table >> 8
        return Image.fromarray(table.astype(np.uint8)[samples[..., 0]])
    white = 1 if samples.dtype.kind == "f" else 2**page.bitspersample - 1
    if samples.dtype.kind == "f":
        check_range(samples, "floats")
    if photometric == MINISWHITE:
        samples[..., 0] = white - samples[..., 0]
    if fits == 1 and not extra and page.bitspersample > 8:
        return Image.fromarray((samples[..., 0] / white).astype(np.float32))
    # Kinds of extra samples: 1 premultiplied alpha, 2 alpha, others no alpha
    alpha = next((int(kind) for kind in page.extrasamples[:1] if int(kind) in (1, 2)), 0)
    if photometric == SEPARATED:
        alpha = 0  # Pillow has no mode for inks with alpha
    array = _to_8_bits(samples[..., : fits + bool(alpha)], page.bitspersample)
    premultiplied = {1: "La", 3: "RGBa"}[fits] if alpha == 1 else None
    mode = {(1, 0): "L", (1, 1): "LA", (3, 0): "RGB", (3, 1): "RGBA", (4, 0): "CMYK"}
    height, width = array.shape[:2]
    image = Image.frombytes(
        premultiplied or mode[fits, bool(alpha)], (width, height), array.tobytes()
    )
    return image.convert("RGBA") if image.mode == "RGBa" else image


def _samples(page: Any) -> NDArray[Any]:
    """(H, W, C) of unsigned integers or floats."""
    array = page.asarray(maxworkers=1)
    if page.samplesperpixel == 1:
        array = array[..., None]
    elif int(page.planarconfig) == PLANAR:
        array = np.moveaxis(array, 0, -1)
    mixed = isinstance(page.bitspersample, tuple)
    unread = mixed or array.ndim != 3 or array.dtype.kind not in "ufb"
    # tifffile unpacks some odd depths of big-endian files into the wrong bits
    if unread or (array.dtype.kind == "u" and int(array.max()) >= 2**page.bitspersample):
        raise ValueError(f"a TIFF of {_variant(page)} is not read")
    return np.array(array, np.uint8 if array.dtype.kind == "b" else array.dtype.newbyteorder("="))


def _to_8_bits(samples: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    if samples.dtype.kind == "f":
        return np.asarray((samples * 255).round(), np.uint8)
    if bits > 8:  # the high byte, as Pillow does
        return np.asarray(samples >> (bits - 8), np.uint8)
    white = 2**bits - 1
    return np.asarray((samples.astype(np.uint16) * 255 + white // 2) // white, np.uint8)


def _check_extents(page: Any, size: int) -> None:
    """Raise if strips or tiles are missing or reach beyond the file's end."""
    ends = [at + count for at, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    expected = int(np.prod(page.chunked))
    if len(ends) < expected or min(page.databytecounts, default=0) <= 0:
        raise ValueError("truncated: strips or tiles are missing")
    if max(ends) > size:
        raise ValueError(f"truncated: data up to byte {max(ends)} of a file of {size}")


def is_raw(source: Source) -> bool:
    """Whether a TIFF is a camera's raw data, by its tags.

    It is when one of its first images is a mosaic of filters or linear sensor data, when it is a
    DNG, or when it begins with the preview of a camera's photo.
    """
    import tifffile

    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        with open_binary(source) as file, tifffile.TiffFile(file) as tiff:
            first = tiff.pages.first
            if 50706 in first.tags:  # DNGVersion
                return True
            if first.tags.valueof(254, 0) & 1 and 271 in first.tags:  # NewSubfileType, Make
                return True
            pages = [*islice(tiff.pages, RAW_PAGES), *(first.pages or ())]
            return any(page.photometric in (CFA, LINEAR_RAW) for page in pages)
    except Exception:  # damaged: its decoder will say how
        return False
