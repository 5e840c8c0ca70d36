"""Every variant of a format that our extras can write reads as its plain twin, or is refused."""

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from qualiclip_metric.decoding import Encoded, ImageError, isobmff, pixels
from tests.qualiclip_metric.decoding.sample_files import PHOTO, bmp, png, rle, tiff

tifffile = pytest.importorskip("tifffile")

ALPHA = np.full((*PHOTO.shape[:2], 1), 255, np.uint8)
INKS = 255 - np.dstack([PHOTO, ALPHA])  # the photo by cyan, magenta and yellow; no black
SAMPLES = {
    ("minisblack", 1): PHOTO[..., :1],
    ("minisblack", 2): np.dstack([PHOTO[..., :1], ALPHA]),
    ("miniswhite", 1): 255 - PHOTO[..., :1],
    ("rgb", 3): PHOTO,
    ("rgb", 4): np.dstack([PHOTO, ALPHA]),
    ("separated", 4): INKS,
}
SCALE = {"u1": 1, "u2": 257, "u4": 16_843_009, "f2": 1 / 255, "f4": 1 / 255, "f8": 1 / 255}
COMPRESSIONS = [None, "lzw", "deflate", "packbits", "zstd", "jpeg2000"]


def shown(content: bytes, suffix: str = "tif") -> NDArray[Any]:
    """Values in 0..255."""
    array = pixels(Encoded(f"a.{suffix}", content))
    return array * (1.0 if array.dtype == np.uint8 else 255)


@pytest.mark.parametrize("dtype", SCALE)
@pytest.mark.parametrize(("photometric", "channels"), SAMPLES)
def test_tiff(photometric: str, channels: int, dtype: str) -> None:
    samples = (SAMPLES[photometric, channels] * float(SCALE[dtype])).astype(dtype)
    twin = PHOTO if channels > 2 else PHOTO[..., :1]
    alpha = channels == 2 or (photometric == "rgb" and channels == 4)
    compressions = COMPRESSIONS[: -1 if dtype == "u4" else None]  # JPEG 2000 has no 32 bits
    refused = []
    for order, planar, compression, predictor, tile in itertools.product(
        "<>", ("contig", "separate"), compressions, (False, True), (None, (16, 16))
    ):
        if planar == "separate" and channels == 1:
            continue
        if predictor and compression not in ("lzw", "deflate", "zstd"):
            continue
        if tile and compression != "lzw":
            continue
        content = io.BytesIO()
        data = np.moveaxis(samples, 2, 0) if planar == "separate" else samples
        try:
            tifffile.imwrite(
                content, data[..., 0] if channels == 1 else data, photometric=photometric,
                planarconfig=planar if channels > 1 else None, byteorder=order,
                compression=compression, predictor=predictor or None, tile=tile, metadata=None,
                extrasamples=["unassalpha"] if alpha else None,
            )  # fmt: skip
        except (ValueError, KeyError, ImportError, RuntimeError):
            continue  # a combination that is not written, or not without imagecodecs
        variant = (order, planar, compression, predictor, tile)
        try:
            error = np.abs(shown(content.getvalue()) - twin).max()
        except ImageError as err:
            refused.append((variant, str(err)))
        else:
            assert error <= 1.01, variant
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        assert all("imagecodecs" in reason for _, reason in refused), refused
    else:
        assert not refused


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16])
def test_tiff_of_any_depth(bits: int, order: str, fill_order: int) -> None:
    white = 2**bits - 1
    levels = (PHOTO.astype(int) * white + 127) // 255
    table = (np.arange(3 * 2**bits) * 20_011 % 65_536).reshape(3, -1)
    for photometric, values, twin in (
        (0, white - levels[..., :1], levels[..., :1] / white * 255),
        (1, levels[..., :1], levels[..., :1] / white * 255),
        (2, levels, levels / white * 255),
        (3, levels[..., :1], (table >> 8).T[levels[..., 0]]),
    ):
        for planar in (1, 2) if photometric == 2 else (1,):
            colours = table.ravel() if photometric == 3 else None
            content = tiff(values, bits, photometric, colours, planar, order, fill_order)
            try:
                error = np.abs(shown(content) - twin).max()
            except ImageError:
                assert bits not in (1, 2, 4, 8, 16) or fill_order == 2 or bits < 8
            else:
                assert error <= 1.01, (photometric, planar)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_tiff_with_a_colour_map_of_8_bits(bits: int) -> None:
    values = PHOTO[..., :1] >> (8 - bits)
    table = np.random.default_rng(1).integers(0, 256, (3, 2**bits))
    array = shown(tiff(values, bits, 3, table.ravel()))
    np.testing.assert_array_equal(array, table.T[values[..., 0]])


def test_tiff_with_premultiplied_alpha() -> None:
    alpha = np.full((*PHOTO.shape[:2], 1), 128, np.uint8)
    half = (PHOTO.astype(int) * 128 // 255).astype(np.uint8)
    for dtype, scale in (("u1", 1), ("u2", 257)):
        content = io.BytesIO()
        samples = (np.dstack([half, alpha]) * float(scale)).astype(dtype)
        tifffile.imwrite(content, samples, photometric="rgb", extrasamples=["assocalpha"])
        expected = half.astype(float) + 127  # over white
        assert np.abs(shown(content.getvalue()) - expected).max() <= 2


@pytest.mark.parametrize(
    ("dtype", "photometric"), [("i2", "minisblack"), ("c8", "minisblack"), ("u2", "cielab")]
)
def test_tiff_variants_that_are_refused_by_name(dtype: str, photometric: str) -> None:
    content = io.BytesIO()
    shape = (40, 52, 3) if photometric == "cielab" else (40, 52)
    tifffile.imwrite(content, np.ones(shape, dtype), photometric=photometric)
    with pytest.raises(ImageError, match=f"a TIFF of .* photometric {photometric}"):
        pixels(Encoded("a.tif", content.getvalue()))


def test_tiff_by_tifffile_that_is_truncated() -> None:
    content = io.BytesIO()
    tifffile.imwrite(content, np.moveaxis(PHOTO, 2, 0).astype("u2"), photometric="rgb",
                     planarconfig="separate")  # fmt: skip
    cut = content.getvalue()[:-500]
    with pytest.raises(ImageError, match="truncated"):
        pixels(Encoded("a.tif", cut))


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("run", [3, 4, 7])
def test_bmp_of_run_lengths(bits: int, run: int, pad: int) -> None:
    """Runs of any length, at even and odd offsets, literal and repeated."""
    indices = PHOTO[..., 0] >> (8 - bits)
    table = np.random.default_rng(2).integers(0, 256, (2**bits, 4), dtype=np.uint8)
    content = bmp(bits, 2 if bits == 4 else 1, rle(indices, bits, run), table.tobytes(), pad)
    np.testing.assert_array_equal(shown(content, "bmp"), table[indices][..., [2, 1, 0]])
    with pytest.raises(ImageError):
        pixels(Encoded("a.bmp", content[: len(content) * 8 // 10]))


def test_bmp_with_unknown_bit_fields_is_refused_by_name() -> None:
    masks = struct.pack("<III", 0xF00, 0xF0, 0xF)
    content = bmp(16, 3, bytes(40 * 52 * 2), masks)
    with pytest.raises(ImageError, match="bitfields"):
        pixels(Encoded("a.bmp", content))


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", [0, 2])
def test_png_with_a_transparent_value(depth: int, kind: int) -> None:
    if kind == 2 and depth < 8:
        pytest.skip("colour has 8 or 16 bits")
    white = 2**depth - 1
    samples = np.random.default_rng(3).integers(0, white + 1, (40, 52, 1 if kind == 0 else 3))
    clear = samples[2, 2]
    bits = np.unpackbits(samples.astype(">u2").view(np.uint8).reshape(*samples.shape, 2), axis=-1)
    rows = np.packbits(bits[..., -depth:].reshape(40, -1), axis=1)
    content = png(depth, kind, rows, clear.astype(">u2").tobytes())
    array = pixels(Encoded("a.png", content), (0, 255, 0))
    hidden = (samples == clear).all(axis=2)
    expected = np.where(hidden[..., None], [0, 255, 0], samples / white * 255)
    values = array * (1.0 if array.dtype == np.uint8 else 255)
    assert np.abs(values - expected).max() <= 1.01


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 12, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("container", ["jp2", "j2k"])
def test_jpeg2000(bits: int, channels: int, container: str) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    white = 2**bits - 1
    samples = np.random.default_rng(4).integers(0, white + 1, (40, 52, channels))
    if channels in (2, 4):
        samples[..., -1] = white
    content = imagecodecs.jpeg2k_encode(
        samples.squeeze().astype("u1" if bits <= 8 else "u2"), level=0, bitspersample=bits,
        reversible=True, codecformat=container,
    )  # fmt: skip
    if channels == 2 and bits > 8:
        with pytest.raises(ImageError, match=f"{bits} bits"):
            pixels(Encoded("a.jp2", content))
        return
    twin = samples[..., : 1 if channels < 3 else 3] / white * 255
    assert np.abs(shown(content, "jp2") - twin).max() <= 1.01


@pytest.mark.parametrize("maximum", [1, 15, 100, 255, 1023, 65_535])
@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
def test_netpbm(magic: str, maximum: int) -> None:
    shape = (40, 52, 3 if magic in ("P3", "P6") else 1)
    samples = np.random.default_rng(5).integers(0, maximum + 1, shape)
    binary = samples.astype(">u2" if maximum > 255 else "u1").tobytes()
    text = " ".join(map(str, samples.ravel())).encode()
    content = f"{magic} 52 40 {maximum}\n".encode() + (binary if magic > "P3" else text)
    assert np.abs(shown(content, "ppm") - samples / maximum * 255).max() <= 1.01


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("suffix", ["bmp", "gif", "ico", "pcx", "png", "sgi", "tga", "tif", "webp"])
def test_what_pillow_writes(tmp_path: Path, suffix: str, mode: str) -> None:
    """Lossless formats, of each mode that they have."""
    image = Image.fromarray(np.dstack([PHOTO, ALPHA])).convert(mode)
    path = tmp_path / f"a.{suffix}"
    options: dict[str, Any] = {"ico": {"sizes": [image.size]}, "webp": {"lossless": True}}
    try:
        image.save(path, **options.get(suffix, {}))
    except (OSError, ValueError):
        return  # a mode that the format lacks
    if suffix == "gif" and mode.startswith("RGB"):
        return  # 256 colours
    np.testing.assert_array_equal(pixels(path), np.asarray(image.convert("RGB")))


def test_gif_with_a_first_frame_smaller_than_its_screen(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frame = Image.fromarray(PHOTO).quantize(16)
    frame.save(path)
    content = bytearray(path.read_bytes())
    content[6:10] = struct.pack("<HH", 100, 80)  # the screen; the frame begins at 0, 0
    path.write_bytes(content)
    array = pixels(path, (9, 80, 200))
    assert array.shape == (80, 100, 3)
    np.testing.assert_array_equal(array[:40, :52], np.asarray(frame.convert("RGB")))
    assert (array[40:] == (9, 80, 200)).all()
    assert (array[:, 52:] == (9, 80, 200)).all()


def test_avif_with_two_tables_of_properties() -> None:
    """libavif refuses them, libheif and browsers read them; the merged file is the original."""
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "AVIF")
    plain = file.getvalue()
    at = plain.index(b"ipma") - 4
    size = int.from_bytes(plain[at : at + 4], "big")
    table = plain[at : at + size]
    empty = struct.pack(">I8sI", 16, table[4:12], 0)
    boxes = bytearray(plain[: at + size] + empty + plain[at + size :])
    for name in (b"meta", b"iprp"):
        start = boxes.index(name) - 4
        larger = int.from_bytes(boxes[start : start + 4], "big") + 16
        boxes[start : start + 4] = struct.pack(">I", larger)
    repaired = isobmff.with_one_association(bytes(boxes))
    assert repaired is not None
    assert len(repaired) == len(boxes)
    assert table in repaired
    assert isobmff.cicp(io.BytesIO(repaired)) == isobmff.cicp(io.BytesIO(plain))
    assert isobmff.with_one_association(plain) is None


CASES = Path("../shared/data/cases")


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/data/cases")
@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("bmp_rle4/photo_rle4_odd.bmp", "bmp_rle4/expected.png"),
        ("tiff_planar16/photo_planar16.tif", "tiff_planar16/photo_contig16.tif"),
        ("tiff_miniswhite16/photo_miniswhite16.tif", "tiff_miniswhite16/photo_minisblack16.tif"),
        ("tiff_colormap8/photo_colormap8.tif", "tiff_colormap8/photo_colormap16.tif"),
        ("xmp_orientation/xmp6.jpg", "xmp_orientation/plain.jpg"),
    ],
)
def test_files_that_were_misread(name: str, twin: str) -> None:
    np.testing.assert_array_equal(pixels(CASES / name), pixels(CASES / twin))


@pytest.mark.skipif(not CASES.exists(), reason="needs ../shared/data/cases")
def test_an_avif_of_libavifs_own_rules() -> None:
    (path,) = (CASES / "avif_alpha").glob("*.avif")
    assert pixels(path).shape == (128, 128, 3)


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE0, b""), (0xE0, b"JFIF"), (0xE0, b"JFIF\0"), (0xE0, b"JFIF\0\1"), (0xEE, b"Adobe\0"),
        (0xE2, b"ICC_PROFILE\0"), (0xE2, b"ICC_PROFILE\0\1"),
        (0xED, b"Photoshop 3.0\x008BIM\3\xed"),
    ],
)  # fmt: skip
def test_jpeg_with_a_segment_that_is_too_short(marker: int, body: bytes) -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PHOTO).save(file, "JPEG", exif=exif)
    plain = file.getvalue()
    short = struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body
    content = plain[:2] + short + plain[2:]
    np.testing.assert_array_equal(shown(content, "jpg"), shown(plain, "jpg"))
