"""When a photo was taken, by the camera's clock: EXIF."""

from datetime import datetime, timezone
from typing import Any

from PIL.ExifTags import IFD, Base

from qualiclip_metric.decoding import with_pillow
from qualiclip_metric.decoding.formats import HEAD
from qualiclip_metric.decoding.source import Source, open_binary
from qualiclip_metric.limits import MAX_PIXELS


def capture_time(path: Source, max_pixels: int = MAX_PIXELS) -> float | None:
    """Read when a photo was taken, from `DateTimeOriginal` and its fractions of a second.

    Args:
        path: A file that `pixels` reads; its header is read again, nothing is decoded.
        max_pixels: As for `pixels`.

    Returns:
        Seconds since 1970 on the camera's clock, whose time zone few files state; only differences
        between photos of one camera count. None where the file does not say.
    """
    try:
        with open_binary(path) as file:
            head = file.read(HEAD)
        with (
            with_pillow.switches.set(False, max_pixels),
            with_pillow.open_image(path, head) as image,
        ):
            exif: Any = image.getexif().get_ifd(IFD.Exif)
        taken = datetime.strptime(_text(exif[Base.DateTimeOriginal]), "%Y:%m:%d %H:%M:%S")
        fraction = _text(exif.get(Base.SubsecTimeOriginal, "")) or "0"
        return taken.replace(tzinfo=timezone.utc).timestamp() + float(f"0.{fraction}")
    except Exception:  # metadata that is missing or damaged; the picture is good all the same
        return None


def _text(value: object) -> str:
    return str(value).strip("\0 ")
