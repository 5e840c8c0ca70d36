"""Colour profiles, code points and HDR, as viewers show them or raw."""

import io
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from qualiclip_metric import images
from qualiclip_metric.decoding import Encoded, isobmff, pixels
from qualiclip_metric.decoding.colour import icc_transform
from tests.qualiclip_metric.decoding.sample_files import PHOTO

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
TO_XYZ_D50 = np.array(  # Bradford, from D65
    [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491],
     [-0.0092345, 0.0150436, 0.7521316]]
)  # fmt: skip


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> NDArray[np.floating[Any]]:
    """Matrix from linear light of primaries with white D65 to XYZ."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.95047, 1, 1.08883])
    return columns * np.linalg.solve(columns, white)


def profile(primaries: tuple[tuple[float, float], ...] | None, gamma: float) -> bytes:
    """An ICC profile of version 2: matrix and gamma, or grey with a gamma."""

    def xyz(values: NDArray[np.floating[Any]]) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {b"wtpt": xyz(np.array([0.9642, 1, 0.8249]))}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        matrix = TO_XYZ_D50 @ to_xyz(primaries)
        tags |= {b"rgb"[i : i + 1] + b"XYZ": xyz(matrix[:, i]) for i in range(3)}
        tags |= {b"rgb"[i : i + 1] + b"TRC": curve for i in range(3)}
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0"
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(data), b"", 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + data


def encode_srgb(light: NDArray[Any]) -> NDArray[Any]:
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def from_matrix(photo: NDArray[Any], primaries: Any, gamma: float) -> NDArray[Any]:
    """sRGB of a photo by the definition of its profile."""
    light = (photo / 255) ** gamma @ to_xyz(primaries).T @ np.linalg.inv(to_xyz(SRGB)).T
    return encode_srgb(light)


def saved(image: Image.Image, suffix: str = "png", **options: Any) -> Encoded:
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), **options)
    return Encoded(f"a.{suffix}", file.getvalue())


@pytest.mark.parametrize(("primaries", "gamma"), [(P3, 2.2), (ADOBE, 2.2), (SRGB, 1.8)])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_profiles_are_applied(primaries: Any, gamma: float, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    icc = profile(primaries, gamma)
    file = saved(Image.fromarray(PHOTO), suffix, icc_profile=icc, **options)
    expected = from_matrix(PHOTO, primaries, gamma)
    assert np.abs(pixels(file) - expected).max() <= 3  # LittleCMS rounds tables of 8 bits
    assert np.abs(pixels(file).astype(float) - PHOTO).mean() > 2
    np.testing.assert_array_equal(pixels(file, colour="raw"), PHOTO)
    tensor = images.read(file, colour="raw").permute(1, 2, 0).mul(255).round()
    np.testing.assert_array_equal(tensor, PHOTO)


def test_profiles_of_grey(tmp_path: Path) -> None:
    grey = PHOTO[..., 0]
    expected = encode_srgb((grey / 255) ** 1.8)[..., None]
    icc = profile(None, 1.8)
    for image in (Image.fromarray(grey), Image.fromarray(grey).convert("LA")):
        array = pixels(saved(image, icc_profile=icc))
        assert np.abs(array - expected).max() <= 1.5
    deep = saved(Image.fromarray(grey.astype(np.uint16) * 257), icc_profile=icc)
    assert np.abs(pixels(deep) * 255 - expected).max() <= 1.5
    np.testing.assert_allclose(pixels(deep, colour="raw")[..., 0], grey / 255, atol=1e-6)


def test_transparent_pixels_are_laid_over_an_srgb_background() -> None:
    rgba = np.dstack([PHOTO, np.zeros(PHOTO.shape[:2], np.uint8)])
    rgba[:20, :, 3] = 255
    for image in (Image.fromarray(rgba), Image.fromarray(rgba).quantize(255)):
        array = pixels(saved(image, icc_profile=profile(P3, 2.2)), (250, 5, 90))
        assert (array[20:] == (250, 5, 90)).all()
        shown = from_matrix(np.asarray(image.convert("RGB"))[:20], P3, 2.2)
        assert np.abs(array[:20] - shown).max() <= 3


@pytest.mark.parametrize(
    "icc",
    [
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        profile(None, 1.8),  # grey, of a colour image
        profile(P3, 2.2)[:200],
        b"no profile",
    ],
)
def test_profiles_of_srgb_and_those_that_do_not_fit_change_nothing(icc: bytes) -> None:
    file = saved(Image.fromarray(PHOTO), icc_profile=icc)
    np.testing.assert_array_equal(pixels(file), PHOTO)


def test_images_in_memory_are_converted_like_files() -> None:
    file = saved(Image.fromarray(PHOTO), icc_profile=profile(P3, 2.2))
    with Image.open(io.BytesIO(file.content)) as image:
        for colour in ("srgb", "raw"):
            assert images.to_tensor(image, colour=colour).equal(images.read(file, colour=colour))


def test_bands_are_converted_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    file = saved(Image.fromarray(PHOTO), icc_profile=profile(ADOBE, 2.2))
    whole, hdr = pixels(file), pixels(png_with_cicp(9, 16))
    monkeypatch.setattr("qualiclip_metric.decoding.convert.BAND_PIXELS", 52 * 7)
    np.testing.assert_array_equal(pixels(file), whole)
    np.testing.assert_array_equal(pixels(png_with_cicp(9, 16)), hdr)


def test_threads_share_a_transform() -> None:
    icc_transform.cache_clear()
    files = [saved(Image.fromarray(PHOTO), icc_profile=profile(p, 2.2)) for p in (P3, ADOBE)]
    expected = [pixels(file) for file in files]
    wrong = []

    def attempt() -> None:
        for _ in range(10):
            wrong.extend(
                not np.array_equal(pixels(file), array)
                for file, array in zip(files, expected, strict=True)
            )

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not any(wrong)
    assert icc_transform.cache_info().misses == 2


def png_with_cicp(primaries: int, transfer: int) -> Encoded:
    """A PNG with a cICP chunk, before its data."""
    content = saved(Image.fromarray(PHOTO)).content
    body = b"cICP" + bytes([primaries, transfer, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    return Encoded("a.png", content[:33] + chunk + content[33:])


def pq(code: NDArray[Any]) -> NDArray[Any]:
    """SMPTE ST 2084, cd/m2."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = code ** (1 / m2)
    return (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10_000


def test_hdr_is_tone_mapped() -> None:
    shown = pixels(png_with_cicp(1, 16)).astype(float)
    light = pq(PHOTO / 255) / 203
    white, most = light.max(), light.max(axis=-1, keepdims=True)
    expected = encode_srgb(light * (1 + most / white**2) / (1 + most))
    assert np.abs(shown - expected).max() <= 1
    np.testing.assert_array_equal(pixels(png_with_cicp(1, 16), colour="raw"), PHOTO)


def test_hlg_of_reference_white_is_bright_and_in_order() -> None:
    """75 % HLG is the reference white of 203 cd/m2 (BT.2408)."""
    content = png_with_cicp(9, 18)
    array = pixels(content)
    order = np.argsort(PHOTO.sum(axis=2).ravel())
    mean = array.mean(axis=2).ravel()[order]
    assert mean[:200].mean() < mean[-200:].mean() - 80


def test_code_points_of_wide_gamut_without_a_profile() -> None:
    """Display P3 with the curve of sRGB: as a profile of P3 would show it."""
    light = np.where(
        PHOTO <= 0.04045 * 255, PHOTO / 255 / 12.92, ((PHOTO / 255 + 0.055) / 1.055) ** 2.4
    )
    expected = encode_srgb(light @ to_xyz(P3).T @ np.linalg.inv(to_xyz(SRGB)).T)
    assert np.abs(pixels(png_with_cicp(12, 13)) - expected).max() <= 1
    video = encode_srgb((PHOTO / 255) ** 2.4 @ to_xyz(P3).T @ np.linalg.inv(to_xyz(SRGB)).T)
    assert np.abs(pixels(png_with_cicp(12, 1)) - video).max() <= 1
    np.testing.assert_array_equal(pixels(png_with_cicp(1, 13)), PHOTO)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


@pytest.mark.parametrize("wide", [False, True])
def test_the_primary_image_decides_its_code_points(wide: bool) -> None:
    """Not another image of the file, such as a gain map's alternative."""
    colours = [
        box(b"colr", b"nclx" + struct.pack(">HHHB", *c, 0x80)) for c in ((1, 13, 6), (9, 16, 9))
    ]
    index = (lambda i: struct.pack(">H", i)) if wide else (lambda i: bytes([i]))
    entries = b"".join(
        struct.pack(">HB", item, 1) + index(number) for item, number in ((7, 2), (3, 1))
    )
    ipma = box(b"ipma", bytes([0, 0, 0, int(wide)]) + struct.pack(">I", 2) + entries)
    iprp = box(b"iprp", box(b"ipco", b"".join(colours)) + ipma)
    for primary, expected in ((3, (1, 13)), (7, (9, 16))):
        meta = box(b"meta", bytes(4) + box(b"pitm", bytes(4) + struct.pack(">H", primary)) + iprp)
        assert isobmff.cicp(io.BytesIO(box(b"ftyp", b"avif") + meta)) == expected
    assert isobmff.cicp(io.BytesIO(box(b"ftyp", b"avif") + meta[:40])) is None


def test_an_orientation_in_xmp_alone_is_ignored() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for suffix in ("jpg", "png", "tif", "webp"):
        plain = saved(Image.fromarray(PHOTO), suffix)
        info = {"xmp": xmp}
        if suffix == "png":
            from PIL.PngImagePlugin import PngInfo

            text = PngInfo()
            text.add_itxt("XML:com.adobe.xmp", xmp.decode())
            info = {"pnginfo": text}  # type: ignore[dict-item]
        turned = saved(Image.fromarray(PHOTO), suffix, **info)
        np.testing.assert_array_equal(pixels(turned), pixels(plain))
        with Image.open(io.BytesIO(turned.content)) as image:
            assert images.to_tensor(image).shape == (3, 40, 52)


CASES = Path("../shared/data/cases")


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/data/cases")
def test_hdr_avif_is_near_a_browser() -> None:
    shown = np.asarray(Image.open(CASES / "hdr_avif/01_chromium.png").convert("RGB"), float)
    ours, codes = (pixels(CASES / "hdr_avif/colors_hdr_p3.avif", colour=c) for c in ("srgb", "raw"))  # type: ignore[arg-type]
    assert np.abs(ours - shown).mean() < 10 < np.abs(codes - shown).mean()
