"""Pixels of every mode and depth are those a viewer shows."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from qualiclip_metric.images import ImageError, pixels, read, to_tensor
from tests.qualiclip_metric.decoding.sample_files import DEEP, PHOTO, expect, grey, png


def test_jpeg_is_near(tmp_path: Path) -> None:
    smooth = np.stack(np.broadcast_arrays(*np.ogrid[0:160:40j, 40:240:52j], 90.0), -1).astype("u1")
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=98)
    expect(tmp_path / "a.jpg", smooth / 255, atol=0.04)


@pytest.mark.parametrize("alphas", [3, bytes(range(0, 256, 16))])
def test_palette_with_transparency(tmp_path: Path, alphas: int | bytes) -> None:
    image = Image.fromarray(PHOTO).quantize(16)
    image.save(tmp_path / "p.png", transparency=alphas)
    share = np.array([i != 3 for i in range(16)]) if isinstance(alphas, int) else list(alphas)
    alpha = np.asarray(share, float)[np.asarray(image), None]
    alpha = alpha if isinstance(alphas, int) else alpha / 255
    rgb = np.asarray(image.convert("RGB")) / 255
    expect(tmp_path / "p.png", rgb * alpha + (1 - alpha), atol=1.01 / 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("background", [(255, 255, 255), (10, 120, 230)])
def test_alpha_over_a_background(
    tmp_path: Path, mode: str, background: tuple[int, int, int]
) -> None:
    image = Image.fromarray(np.dstack([PHOTO, PHOTO[::-1, :, 1]])).convert(mode)
    image.save(tmp_path / "a.png")
    rgba = np.asarray(image.convert("RGBA"), float) / 255
    alpha = rgba[..., 3:]
    shown = rgba[..., :3] * alpha + np.array(background) / 255 * (1 - alpha)
    result = read(tmp_path / "a.png", background).permute(1, 2, 0)
    np.testing.assert_allclose(result, shown, atol=1.01 / 255)


def test_a_transparent_grey_value(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(8, 0, PHOTO[..., 0], struct.pack(">H", 7)))
    shown = np.where(PHOTO[..., 0] == 7, 255, PHOTO[..., 0])
    expect(tmp_path / "a.png", grey(shown / 255))


@pytest.mark.parametrize("mode", ["YCbCr", "HSV", "RGBX", "RGBa", "PA", "LAB"])
def test_rarer_modes_are_converted(mode: str) -> None:
    image = Image.fromarray(PHOTO)
    image = image.convert("RGBA") if mode == "RGBa" else image
    assert to_tensor(image.convert(mode)).shape == (3, 40, 52)


def test_grey_with_premultiplied_alpha() -> None:
    image = Image.fromarray(PHOTO[..., :2], mode=None).convert("LA")
    shown = to_tensor(image.convert("La"))
    torch.testing.assert_close(shown, to_tensor(image), atol=0.02, rtol=0)


def test_16_bit_grey_png_keeps_its_depth(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(16, 0, DEEP[..., 0].astype(">u2")))
    expect(tmp_path / "a.png", grey(DEEP[..., 0] / 65535), atol=1e-7)
    assert pixels(tmp_path / "a.png").dtype == np.float32


def test_16_bit_grey_with_a_transparent_value(tmp_path: Path) -> None:
    samples = DEEP[..., 0].copy()
    samples[:5] = 1234
    (tmp_path / "a.png").write_bytes(png(16, 0, samples.astype(">u2"), struct.pack(">H", 1234)))
    tensor = read(tmp_path / "a.png", background=(0, 51, 255))
    torch.testing.assert_close(tensor[:, 2, 2], torch.tensor([0, 0.2, 1]))
    assert tensor[0, 9, 9].item() == pytest.approx(samples[9, 9] / 65535, abs=1e-7)


@pytest.mark.parametrize("kind", [2, 6])
def test_16_bit_colour_png_to_8_bits(tmp_path: Path, kind: int) -> None:
    opaque = np.full((40, 52, 1), 65535, np.uint16)
    samples = DEEP if kind == 2 else np.dstack([DEEP, opaque])
    (tmp_path / "a.png").write_bytes(png(16, kind, samples.astype(">u2")))
    expect(tmp_path / "a.png", DEEP / 65535, atol=1.01 / 255)


@pytest.mark.parametrize(
    ("value", "message"), [(float("nan"), "not finite"), (2.0, "from 2 to 2"), (-0.5, "from -0.5")]
)
def test_floats_out_of_range_are_refused(tmp_path: Path, value: float, message: str) -> None:
    Image.fromarray(np.full((40, 40), value, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=message):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["tif", "jpg"])
def test_cmyk(tmp_path: Path, suffix: str) -> None:
    """Photoshop's JPEGs hold inverted inks; Pillow writes and reads them so."""
    ink = np.zeros((40, 48, 4), np.uint8)
    ink[:, :16, 0], ink[:, 16:32, 3] = 255, 255  # cyan, black, paper
    Image.frombytes("CMYK", (48, 40), ink.tobytes()).save(tmp_path / f"a.{suffix}", quality=95)
    shown = read(tmp_path / f"a.{suffix}")[:, 20, [8, 24, 40]]
    expected = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 0, 1]], dtype=torch.float32)
    torch.testing.assert_close(shown, expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("damaged", [b"no profile at all", None])
def test_cmyk_with_a_profile_that_does_not_fit(tmp_path: Path, damaged: bytes | None) -> None:
    profile = damaged or ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("CMYK", (40, 40), (255, 0, 0, 0))
    image.save(tmp_path / "a.tif", icc_profile=profile)
    torch.testing.assert_close(read(tmp_path / "a.tif")[:, 5, 5], torch.tensor([0.0, 1, 1]))


def test_to_tensor_leaves_the_image_alone() -> None:
    image = Image.fromarray(PHOTO)
    to_tensor(image).zero_()
    np.testing.assert_array_equal(np.asarray(image), PHOTO)
