"""Image files: path -> pixels, folder -> list of paths. Knows no models.

What a viewer would show is what is scored: EXIF orientation is applied, palettes are resolved, grey
becomes three equal channels, 16-bit grey is scaled by its range, CMYK is converted, and
transparency is laid over a stated background. As everywhere in the field, the colour profile of an
RGB image is not applied: its numbers are taken as they are.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from glob import glob, has_magic
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError
from torch import Tensor

RGB = tuple[int, int, int]
SUFFIXES = frozenset(
    ".avif .bmp .gif .j2k .jfif .jp2 .jpe .jpeg .jpg .mpo .pbm .pgm"
    " .png .pnm .ppm .qoi .tga .tif .tiff .webp".split()
)
"""Suffixes, in lower case, that make a file in a folder an image."""
FORMATS = tuple("AVIF BMP DIB GIF ICO JPEG JPEG2000 PCX PNG PPM QOI SGI TGA TIFF WEBP".split())
"""Formats that are decoded, told by content. Pillow's others call programs or hold no photos."""
WHITE = (255, 255, 255)

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


class ImageError(ValueError):
    """A file that could not be read as an image; the message names the file and the reason."""


def read(path: str | Path, background: RGB = WHITE) -> Float[Tensor, "3 h w"]:
    """Read an image as a viewer would show it.

    Args:
        path: File of any of `FORMATS`. Of an animation or a multi-page file, the first frame.
        background: RGB in 0..255 under transparent pixels.

    Returns:
        (3, H, W), float32 RGB in [0, 1].

    Raises:
        ImageError: When the file is missing, damaged, truncated or no image.
    """
    return _as_tensor(pixels(path, background))


def pixels(path: str | Path, background: RGB = WHITE) -> NDArray[Any]:
    """Read an image as compactly as its depth allows.

    Args:
        path: As for `read`.
        background: As for `read`.

    Returns:
        (H, W, 3) RGB: uint8 in 0..255, or float32 in [0, 1] where the file has more than 8 bits.

    Raises:
        ImageError: As for `read`.
    """
    with _opened(path) as image:
        return to_pixels(image, background)


def size(path: str | Path) -> tuple[int, int]:
    """Height and width from a file's header, before orientation; nothing is decoded.

    Raises:
        ImageError: As for `read`, as far as the header shows it.
    """
    with _opened(path) as image:
        return image.height, image.width


def to_tensor(image: Image.Image, background: RGB = WHITE) -> Float[Tensor, "3 h w"]:
    """A Pillow image of any mode, turned upright, as float32 RGB in [0, 1], (3, H, W)."""
    return _as_tensor(to_pixels(image, background))


def to_pixels(image: Image.Image, background: RGB = WHITE) -> NDArray[Any]:
    """A Pillow image of any mode, turned upright: (H, W, 3), uint8 or float32 as in `pixels`."""
    image.load()
    turn = _TURN.get(_orientation(image))
    if turn is not None:
        info, image = image.info, image.transpose(turn)
        image.info = info
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_grey(image, background)
    if image.mode == "CMYK":
        image = _from_cmyk(image)
    elif image.has_transparency_data:
        rgba = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (*background, 255)), rgba)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def to_uint8(img: Tensor) -> UInt8[Tensor, "*shape"]:
    """RGB in [0, 1] -> bytes of the same shape: rounded, what lies outside is clipped."""
    return img.detach().float().mul(255).round().clamp(0, 255).to("cpu", torch.uint8)


def to_picture(img: Float[Tensor, "3 h w"]) -> Image.Image:
    """RGB in [0, 1] -> an 8-bit Pillow image."""
    return Image.fromarray(to_uint8(img).permute(1, 2, 0).contiguous().numpy())


def from_uint8(array: NDArray[np.uint8]) -> Float[Tensor, "3 h w"]:
    """(H, W, 3) bytes -> (3, H, W) float32 RGB in [0, 1]."""
    return _as_tensor(array)


def _as_tensor(array: NDArray[Any]) -> Float[Tensor, "3 h w"]:
    scale = 255 if array.dtype == np.uint8 else 1
    return torch.tensor(array).permute(2, 0, 1).contiguous().float() / scale


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open an image; whatever goes wrong in the block becomes an `ImageError` about the file.

    Decoders of damaged files raise nearly anything (struct.error, IndexError, KeyError, ...), so
    that every exception counts as the file's fault here.
    """
    try:
        with _strict, Image.open(path, formats=_formats()) as image:
            yield image
    except FileNotFoundError as err:
        raise ImageError(f"{path}: no such file") from err
    except IsADirectoryError as err:
        raise ImageError(f"{path}: a folder, expected an image file") from err
    except PermissionError as err:
        raise ImageError(f"{path}: no permission to read it") from err
    except UnidentifiedImageError as err:
        empty = Path(path).stat().st_size == 0
        reason = "the file is empty" if empty else "not an image, or of an unknown format"
        raise ImageError(f"{path}: {reason}") from err
    except Exception as err:
        reason = str(err) or type(err).__name__
        raise ImageError(f"{path}: cannot be read as an image ({reason})") from err


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


class _Strict:
    """While entered, in any number of threads, a truncated file is an error.

    Pillow's switch for it is global, and other packages (pyiqa among them) turn it on for good.
    """

    def __init__(self) -> None:
        self.lock, self.inside, self.outside = threading.Lock(), 0, False

    def __enter__(self) -> None:
        with self.lock:
            if not self.inside:
                self.outside = ImageFile.LOAD_TRUNCATED_IMAGES
                ImageFile.LOAD_TRUNCATED_IMAGES = False
            self.inside += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = self.outside


_strict = _Strict()


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 (upright) where there is none or the EXIF block is damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a damaged note about an image is no reason not to score the image
        return 1
    return value if isinstance(value, int) else 1


def _from_cmyk(image: Image.Image) -> Image.Image:
    """RGB by the ink profile in the file, or by the plain complement where there is none."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image.convert("RGB")
    try:
        converted = ImageCms.profileToProfile(
            image, BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except ImageCms.PyCMSError:  # a damaged profile, or one of another colour space
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _deep_grey(image: Image.Image, background: RGB) -> NDArray[Any]:
    """Grey with more than 8 bits: 16-bit integers by their range, floats taken as [0, 1]."""
    values = np.asarray(image).astype(np.float32)
    hole = values == image.info["transparency"] if "transparency" in image.info else None
    if image.mode != "F":
        values /= 65535
    if not np.isfinite(values).all():
        raise ValueError(f"mode {image.mode} with values that are not finite")
    if values.min() < 0 or values.max() > 1:
        raise ValueError(
            f"{'floats' if image.mode == 'F' else 'integers, as shares of 65535,'} from "
            f"{values.min():g} to {values.max():g}; expected [0, 1]"
        )
    rgb = np.repeat(values[..., None], 3, axis=2)
    if hole is not None:
        rgb[hole] = np.array(background, np.float32) / 255
    return rgb


def find(paths: Iterable[str | Path], recursive: bool = True) -> list[Path]:
    """Image files named by files, folders and glob patterns, in a stable order, each once.

    Args:
        paths: Files are taken whatever their suffix (so a wrong one is reported, not skipped), and
            so is what a pattern matches (it may use `**`); folders give the files with an image
            suffix, hidden ones left out.
        recursive: Whether folders are entered to any depth.

    Returns:
        Paths in the order of the arguments, sorted within a folder or a pattern.

    Raises:
        ValueError: When a pattern or a folder holds no image.
    """
    found: dict[Path, None] = {}
    for name in paths:
        path = Path(name)
        if path.is_dir():
            files = _folder(path, recursive)
        elif has_magic(str(name)) and not path.exists():
            files = [p for p in map(Path, sorted(glob(str(name), recursive=True))) if p.is_file()]
        else:
            files = [path]
        if not files:
            raise ValueError(f"{name}: no image found; looked for {' '.join(sorted(SUFFIXES))}")
        found.update(dict.fromkeys(files))
    return list(found)


def _folder(folder: Path, recursive: bool) -> list[Path]:
    entries = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(
        p
        for p in entries
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in p.relative_to(folder).parts)
        and p.is_file()
    )
