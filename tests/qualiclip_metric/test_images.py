"""Reading images as a viewer shows them, and finding them."""

import io
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile

from qualiclip_metric import images
from qualiclip_metric.images import ImageError, find, pixels, read, to_tensor

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (40, 52, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (40, 52, 3), dtype=np.uint16)


def png(
    depth: int, kind: int, samples: NDArray[np.generic], transparent: bytes = b"", width: int = 52
) -> bytes:
    """A PNG of any bit depth and colour type, written by its specification."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, len(samples), depth, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in samples)
    extra = chunk(b"tRNS", transparent) if transparent else b""
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def expect(path: Path, shown: NDArray[np.generic], atol: float = 1e-6) -> None:
    """That a file reads as (H, W, 3) values in [0, 1]."""
    tensor = read(path)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    np.testing.assert_allclose(tensor.permute(1, 2, 0), np.asarray(shown, float), atol=atol)


def grey(values: NDArray[np.generic]) -> NDArray[np.generic]:
    return np.repeat(np.asarray(values, float)[..., None], 3, axis=2)


# --- modes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "tga"])
def test_rgb(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}")
    expect(tmp_path / f"a.{suffix}", PHOTO / 255)


def test_jpeg_is_near(tmp_path: Path) -> None:
    smooth = np.stack(np.broadcast_arrays(*np.ogrid[0:160:40j, 40:240:52j], 90.0), -1).astype("u1")
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=98)
    expect(tmp_path / "a.jpg", smooth / 255, atol=0.04)


def test_grey_and_one_bit(tmp_path: Path) -> None:
    Image.fromarray(PHOTO[..., 0]).save(tmp_path / "grey.png")
    expect(tmp_path / "grey.png", grey(PHOTO[..., 0] / 255))
    bits = PHOTO[..., 0] > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    expect(tmp_path / "bits.png", grey(bits))


def test_palette(tmp_path: Path) -> None:
    image = Image.fromarray(PHOTO).quantize(16)
    image.save(tmp_path / "p.png")
    expect(tmp_path / "p.png", np.asarray(image.convert("RGB")) / 255)


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


def test_an_opaque_alpha_changes_nothing(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).convert("RGBA").save(tmp_path / "a.png")
    expect(tmp_path / "a.png", PHOTO / 255)


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


# --- more than 8 bits ------------------------------------------------------------------------


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


def test_16_bit_and_float_tiff(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "grey.tif", DEEP[..., 0])
    expect(tmp_path / "grey.tif", grey(DEEP[..., 0] / 65535), atol=1e-7)
    tifffile.imwrite(tmp_path / "rgb.tif", DEEP, photometric="rgb")
    expect(tmp_path / "rgb.tif", DEEP / 65535, atol=1.01 / 255)
    values = RNG.random((40, 52), dtype=np.float32)
    tifffile.imwrite(tmp_path / "float.tif", values)
    expect(tmp_path / "float.tif", grey(values), atol=1e-7)


@pytest.mark.parametrize(
    ("value", "message"), [(float("nan"), "not finite"), (2.0, "from 2 to 2"), (-0.5, "from -0.5")]
)
def test_floats_out_of_range_are_refused(tmp_path: Path, value: float, message: str) -> None:
    Image.fromarray(np.full((40, 40), value, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=message):
        read(tmp_path / "a.tif")


# --- CMYK ------------------------------------------------------------------------------------


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


def test_cmyk_with_its_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion gets the file's own profile, and its outcome is what is read."""
    seen: dict[str, object] = {}

    def convert(image: Image.Image, given: io.BytesIO, target: object, **kinds: str) -> Image.Image:
        seen.update(mode=image.mode, profile=given.read(), **kinds)
        return Image.new("RGB", image.size, (51, 102, 153))

    monkeypatch.setattr(ImageCms, "profileToProfile", convert)
    Image.new("CMYK", (40, 40)).save(tmp_path / "a.tif", icc_profile=b"inks")
    torch.testing.assert_close(read(tmp_path / "a.tif")[:, 5, 5], torch.tensor([0.2, 0.4, 0.6]))
    assert seen == {"mode": "CMYK", "profile": b"inks", "outputMode": "RGB"}


# --- orientation and animation ---------------------------------------------------------------

UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_exif_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}", exif=exif, lossless=True)
    expect(tmp_path / f"a.{suffix}", UPRIGHT[orientation](PHOTO) / 255)


def test_orientation_keeps_transparency(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(PHOTO).quantize(16)
    image.save(tmp_path / "a.png", transparency=3)
    image.save(tmp_path / "turned.png", transparency=3, exif=exif)
    plain, turned = read(tmp_path / "a.png"), read(tmp_path / "turned.png")
    assert torch.equal(turned, plain.rot90(-1, (1, 2)))


def test_a_damaged_exif_block_is_no_obstacle(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    start = content.index(b"Exif") + 6
    (tmp_path / "a.jpg").write_bytes(content[:start] + b"\xff" * 20 + content[start + 20 :])
    assert read(tmp_path / "a.jpg").shape == (3, 40, 52)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tif"])
def test_the_first_frame_counts(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    torch.testing.assert_close(read(tmp_path / f"a.{suffix}")[:, 7, 7], torch.tensor([1.0, 0, 0]))


# --- what is no image ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "webp", "ppm", "jp2"])
def test_truncated_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTO).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(ImageError, match=f"{path.name}: "):
        read(path)


def test_truncation_is_an_error_even_where_pillow_is_told_to_be_lenient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as pyiqa does on import
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:-2000])
    failures = []

    def attempt() -> None:
        for _ in range(20):
            try:
                read(tmp_path / "b.png")
            except ImageError:
                failures.append(1)
            read(tmp_path / "a.png")

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 80
    assert ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"just a text, renamed", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n", "not an image"),
        (png(8, 0, np.zeros((1, 1), np.uint8), width=40_000)[:16] + b"\0" * 9, ""),
    ],
)
def test_other_content(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match=f"a.png: .*{message}"):
        read(tmp_path / "a.png")


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    content = bytearray(png(8, 0, np.zeros((1, 1), np.uint8)))
    content[16:24] = struct.pack(">II", 30_000, 30_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(ImageError, match="900000000 pixels"):
        read(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match="900000000 pixels"):
        images.size(tmp_path / "bomb.png")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none\.jpg: no such file"):
        read(tmp_path / "none.jpg")
    with pytest.raises(ImageError, match="a folder"):
        read(tmp_path)


def test_damaged_bytes_give_pixels_or_an_image_error(tmp_path: Path) -> None:
    """Nothing but ImageError comes out, whatever the bytes."""
    for suffix in ("png", "jpg", "tif", "gif", "webp", "bmp"):
        Image.fromarray(PHOTO).save(tmp_path / f"a.{suffix}")
        content = (tmp_path / f"a.{suffix}").read_bytes()
        rng = np.random.default_rng(1)
        for _ in range(25):
            damaged = np.frombuffer(content, np.uint8).copy()
            damaged[rng.integers(8, len(damaged), 12)] = rng.integers(0, 256, 12)
            (tmp_path / "damaged").write_bytes(damaged.tobytes())
            try:
                assert read(tmp_path / "damaged").ndim == 3
            except ImageError as err:
                assert "damaged: " in str(err)


# --- pixels and sizes ------------------------------------------------------------------------


def test_pixels_are_bytes_where_bytes_suffice(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    array = pixels(tmp_path / "a.png")
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, PHOTO)
    assert images.size(tmp_path / "a.png") == (40, 52)


def test_to_tensor_leaves_the_image_alone() -> None:
    image = Image.fromarray(PHOTO)
    to_tensor(image).zero_()
    np.testing.assert_array_equal(np.asarray(image), PHOTO)


# --- find ------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.JPG", "a.png", "note.txt", "sub/c.webp", "sub/deep/d.tiff", ".thumbs/e.png",
                 "sub/._c.webp"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("paths", "recursive", "expected"),
    [
        (["."], True, ["a.png", "b.JPG", "sub/c.webp", "sub/deep/d.tiff"]),
        (["."], False, ["a.png", "b.JPG"]),
        (["sub", "a.png"], True, ["sub/c.webp", "sub/deep/d.tiff", "a.png"]),
        (["*.png", "a.png", "./a.png"], True, ["a.png"]),
        (["**/*.webp"], True, ["sub/c.webp"]),
        (["note.txt", "missing.jpg"], True, ["note.txt", "missing.jpg"]),
    ],
)
def test_find(tree: Path, paths: list[str], recursive: bool, expected: list[str]) -> None:
    assert find(paths, recursive) == [Path(name) for name in expected]


def test_a_file_named_like_a_pattern_is_a_file(tree: Path) -> None:
    Path("x[1].png").touch()
    assert find(["x[1].png"]) == [Path("x[1].png")]


@pytest.mark.parametrize("nothing", ["*.gif", "empty"])
def test_nothing_found_is_said(tree: Path, nothing: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(ValueError, match="no image found"):
        find([nothing])
