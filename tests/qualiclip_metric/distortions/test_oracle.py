"""Values against independent implementations: scipy, scikit-image and Pillow."""

import io
import math
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import cluster, integrate, interpolate, ndimage, stats
from skimage import color, data, exposure

from qualiclip_metric.distortions import DISTORTIONS, compression, distort
from qualiclip_metric.distortions import blur as kernels

LEVELS = (1, 3, 5)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def photo(height=120, width=140):
    return data.coffee()[100 : 100 + height, 200 : 200 + width].astype(np.float32) / 255


def tensor(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]


def array(img):
    return img[0].permute(1, 2, 0).numpy()


def run(pixels, name, level, seed=0):
    """Our result on (H, W, 3) pixels, and the parameter of the level."""
    out = distort(tensor(pixels), name, level, rng(seed))
    return array(out), DISTORTIONS[name].levels[level - 1]


def per_channel(function, pixels):
    return np.stack([function(pixels[..., c]) for c in range(3)], axis=-1)


def lab2rgb(lab):
    with warnings.catch_warnings():  # scikit-image warns of colours out of gamut
        warnings.simplefilter("ignore")
        return np.clip(color.lab2rgb(lab), 0, 1)


def close(ours, theirs, atol):
    np.testing.assert_allclose(ours, np.clip(theirs, 0, 1), atol=atol, rtol=0)


# Blur


@pytest.mark.parametrize("level", LEVELS)
def test_gaublur_is_scipys(level):
    img = photo()
    ours, sigma = run(img, "gaublur", level)
    theirs = per_channel(lambda c: ndimage.gaussian_filter(c, sigma, mode="nearest"), img)
    close(ours, theirs, 1e-5)


def disk_area(radius, left, right, low, high):
    """Area of the part of a disk around 0 that lies in a rectangle, by quadrature."""

    def height(x):
        reach = math.sqrt(max(0.0, radius**2 - x**2))
        return max(0.0, min(high, reach) - max(low, -reach))

    kinks = [math.sqrt(max(0.0, radius**2 - y**2)) for y in (low, high)]
    points = sorted(s * k for k in [*kinks, radius] for s in (-1, 1) if left < s * k < right)
    return integrate.quad(height, left, right, points=points or None, limit=200)[0]


@pytest.mark.parametrize("level", LEVELS)
def test_lensblur_averages_the_area_of_a_disk(level):
    img = photo()
    ours, radius = run(img, "lensblur", level)
    places = np.arange(-radius, radius + 1) - 0.5
    kernel = np.array([[disk_area(radius, x, x + 1, y, y + 1) for x in places] for y in places]) / (
        math.pi * radius**2
    )
    assert kernel.sum() == pytest.approx(1, abs=1e-3)
    theirs = per_channel(lambda c: ndimage.convolve(c, kernel, mode="nearest"), img)
    close(ours, theirs, 1e-3)


def test_a_level_line_is_a_box_with_half_ends():
    expected = np.zeros((5, 5))
    expected[2] = [1 / 8, 1 / 4, 1 / 4, 1 / 4, 1 / 8]
    np.testing.assert_allclose(kernels.line(4.0, 0.0), expected, atol=1e-3)
    np.testing.assert_allclose(kernels.line(4.0, math.pi / 2), expected.T, atol=1e-3)


@pytest.mark.parametrize("angle", [0.3, 1.1, 2.0, 2.9])
def test_a_line_points_along_its_angle(angle):
    kernel = kernels.line(12.0, angle).numpy()
    y, x = np.mgrid[6:-7:-1, -6:7]
    spread = np.cov(np.stack([x.ravel(), y.ravel()]), aweights=kernel.ravel(), ddof=0)
    values, vectors = np.linalg.eigh(spread)
    direction = math.atan2(vectors[1, 1], vectors[0, 1]) % math.pi
    assert direction == pytest.approx(angle, abs=0.02)
    assert values[1] == pytest.approx(12**2 / 12, rel=0.05)  # variance of a uniform segment


def test_motionblur_convolves_with_the_line_of_the_drawn_angle():
    img = photo()
    ours, length = run(img, "motionblur", 4, seed=3)
    kernel = kernels.line(length, float(torch.rand((), generator=rng(3))) * math.pi).numpy()
    theirs = per_channel(lambda c: ndimage.convolve(c, kernel, mode="nearest"), img)
    close(ours, theirs, 1e-5)


# Colour


@pytest.mark.parametrize("level", LEVELS)
def test_colordiff_blurs_and_multiplies_lab_chroma(level):
    img = photo()
    ours, amount = run(img, "colordiff", level)
    lab = color.rgb2lab(img)
    for c in (1, 2):
        blurred = ndimage.gaussian_filter(lab[..., c], 1.5 * amount + 2, mode="nearest")
        lab[..., c] = amount * blurred
    close(ours, lab2rgb(lab), 2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_colorshift_moves_green_where_edges_are_steep(seed):
    img = np.random.default_rng(0).random((64, 72, 3), dtype=np.float32)
    ours, distance = run(img, "colorshift", 5, seed)
    direction = float(torch.rand((), generator=rng(seed))) * 2 * math.pi
    shift = [round(distance * f(direction)) for f in (math.sin, math.cos)]
    theirs = img.copy()
    theirs[..., 1] = ndimage.shift(img[..., 1], shift, order=0, mode="nearest")
    close(ours, theirs, 1e-6)


def test_colorshift_leaves_a_smooth_picture_alone():
    ramp = np.repeat(np.linspace(0.4, 0.42, 80, dtype=np.float32)[None, :, None], 64, 0)
    img = np.repeat(ramp, 3, -1)
    assert np.abs(run(img, "colorshift", 5)[0] - img).max() < 1e-3


@pytest.mark.parametrize("level", LEVELS)
def test_colorsat1_scales_hsv_saturation(level):
    img = photo()
    ours, factor = run(img, "colorsat1", level)
    close(ours, color.hsv2rgb(color.rgb2hsv(img) * [1, factor, 1]), 1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_colorsat2_scales_lab_chroma(level):
    img = photo()
    ours, factor = run(img, "colorsat2", level)
    close(ours, lab2rgb(color.rgb2lab(img) * [1, factor, factor]), 2e-3)


# Compression


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_jpeg_is_pillows(level):
    img = photo(128, 144)
    ours, quality = run(img, "jpeg", level)
    stream = io.BytesIO()
    Image.fromarray((img * 255).round().astype(np.uint8)).save(
        stream, "JPEG", quality=round(quality)
    )
    theirs = np.asarray(Image.open(stream), dtype=np.float32) / 255
    assert np.abs(ours - theirs).mean() < 0.5 / 255  # decoders round, and upsample, differently


@pytest.mark.parametrize("size", [48, 96, 224])
@pytest.mark.parametrize("ratio", DISTORTIONS["jpeg2000"].levels)
def test_jpeg2000_keeps_to_its_budget(size, ratio):
    noise = np.random.default_rng(1).integers(0, 256, (3, size, size), dtype=np.uint8)
    stream = compression.jpeg2000_stream(torch.from_numpy(noise), ratio)
    budget = 3 * size * size / ratio
    assert len(stream) - 260 <= budget <= len(stream)  # a header takes 190 to 250 bytes
    assert stream[:4] == b"\xff\x4f\xff\x51"  # SOC, SIZ: no container


def test_jpeg2000_hardly_changes_what_it_need_not():
    img = tensor(photo())
    out = compression.jpeg2000(img, 1.0)
    assert (out - img).abs().max() <= 3 / 255


# Noise


@pytest.mark.parametrize("level", LEVELS)
def test_whitenoise_is_normal_and_of_its_variance(level):
    grey = np.full((96, 96, 3), 0.5, dtype=np.float32)
    ours, variance = run(grey, "whitenoise", level)
    residual = (ours - 0.5).ravel()
    assert residual.var() == pytest.approx(variance, rel=0.03)
    assert stats.kstest(residual / math.sqrt(variance), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef((ours - 0.5).reshape(-1, 3).T) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("level", LEVELS)
def test_whitenoise_cc_is_white_in_ycbcr(level):
    grey = np.full((96, 96, 3), 0.5, dtype=np.float32)
    ours, variance = run(grey, "whitenoiseCC", level)
    residual = (color.rgb2ycbcr(ours) - color.rgb2ycbcr(grey)) / [219, 224, 224]
    residual = residual.reshape(-1, 3)
    np.testing.assert_allclose(residual.var(axis=0), variance, rtol=0.05)
    assert np.abs(np.corrcoef(residual.T) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("level", LEVELS)
def test_impulsenoise_has_its_density_half_salt_half_pepper(level):
    grey = np.full((128, 128, 3), 0.5, dtype=np.float32)
    ours, density = run(grey, "impulsenoise", level)
    for value in (0, 1):
        hits = int((ours == value).sum())
        assert stats.binomtest(hits, ours.size, density / 2).pvalue > 1e-3
    assert np.isin(ours, [0, 0.5, 1]).all()


@pytest.mark.parametrize("level", LEVELS)
def test_multnoise_grows_with_the_signal(level):
    halves = np.full((96, 96, 3), 0.2, dtype=np.float32)
    halves[48:] = 0.4
    ours, variance = run(halves, "multnoise", level)
    for part in (slice(0, 48), slice(48, 96)):
        relative = ours[part] / halves[part] - 1
        assert relative.var() == pytest.approx(variance, rel=0.05)


# Brightness


@pytest.mark.parametrize("level", LEVELS)
def test_darken_is_the_mean_of_two_gamma_curves(level):
    img = photo()
    ours, amount = run(img, "darken", level)
    gamma = math.log2(1 / (0.5 - amount))
    lab = color.rgb2lab(img)
    lab[..., 0] = 100 * exposure.adjust_gamma(np.clip(lab[..., 0] / 100, 0, 1), gamma)
    close(ours, (exposure.adjust_gamma(img, gamma) + lab2rgb(lab)) / 2, 2e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_brighten_is_the_mean_of_two_gamma_curves_upside_down(level):
    img = photo()
    ours, amount = run(img, "brighten", level)
    gamma = math.log2(1 / (0.5 - amount))
    lab = color.rgb2lab(img)
    lab[..., 0] = 100 - 100 * exposure.adjust_gamma(1 - np.clip(lab[..., 0] / 100, 0, 1), gamma)
    close(ours, (1 - exposure.adjust_gamma(1 - img, gamma) + lab2rgb(lab)) / 2, 2e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_meanshift_adds_one_signed_offset(level):
    img = photo()
    signs = set()
    for seed in range(8):
        ours, offset = run(img, "meanshift", level, seed)
        sign = np.sign((ours - img).sum())
        signs.add(sign)
        close(ours, img + sign * offset, 1e-6)
    assert signs == {-1, 1}


# Space


@pytest.mark.parametrize("level", LEVELS)
def test_jitter_fetches_from_scattered_places(level):
    img = photo(64, 80)
    ours, scatter = run(img, "jitter", level, seed=2)
    offset = scatter * torch.randn((64, 80, 2), generator=rng(2)).numpy()
    y, x = np.mgrid[:64, :80]
    places = np.stack([y + offset[..., 1], x + offset[..., 0]])
    theirs = per_channel(lambda c: ndimage.map_coordinates(c, places, order=1, mode="nearest"), img)
    close(ours, theirs, 1e-4)


@pytest.mark.parametrize(
    ("level", "factor"), [(1, (2, 1)), (2, (2, 2)), (3, (4, 2)), (4, (4, 4)), (5, (8, 4))]
)
def test_pixelate_takes_pillows_box_means(level, factor):
    img = photo(61, 75)
    ours, _ = run(img, "pixelate", level)
    small = per_channel(lambda c: np.asarray(Image.fromarray(c).reduce(factor)), img)
    theirs = small.repeat(factor[1], axis=0).repeat(factor[0], axis=1)[:61, :75]
    close(ours, theirs, 1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_quantization_takes_the_nearest_of_its_values(level):
    img = photo()
    ours, classes = run(img, "quantization", level)
    values = np.linspace(0, 1, round(classes))
    nearest, _ = cluster.vq.vq(img.reshape(-1, 1), values[:, None])
    close(ours, values[nearest].reshape(img.shape), 1e-6)


def test_noneccpatch_shows_what_lies_four_to_eight_pixels_away():
    y, x = np.mgrid[:224, :224] / 223
    img = np.stack([x, y, x], axis=-1).astype(np.float32)
    ours, _ = run(img, "noneccpatch", 5, seed=1)
    moved = np.rint((ours - img)[..., :2] * 223).astype(int)
    changed = moved.any(axis=-1)
    assert changed.sum() == 26 * 16**2  # 100 per 512x384, on 224x224
    assert set(np.abs(moved[changed]).ravel()) == {4, 5, 6, 7, 8}


def test_colorblock_paints_flat_squares():
    img = np.full((224, 224, 3), 0.5, dtype=np.float32)
    ours, _ = run(img, "colorblock", 5, seed=1)
    colors, counts = np.unique(ours.reshape(-1, 3), axis=0, return_counts=True)
    painted = np.abs(colors - 0.5).max(axis=1) > 0
    assert painted.sum() == 8  # 10 of 32 px per 512x384 are 8 of 18 px on 224x224
    assert set(counts[painted]) == {18**2}
    for one in colors[painted]:
        rows, columns = np.nonzero((ours == one).all(axis=-1))
        assert np.ptp(rows) == np.ptp(columns) == 17


# Sharpness and contrast


@pytest.mark.parametrize("level", LEVELS)
def test_highsharpen_is_unsharp_masking_of_lightness(level):
    img = photo()
    ours, amount = run(img, "highsharpen", level)
    lab = color.rgb2lab(img)
    light = lab[..., 0].copy()
    blurred = ndimage.gaussian_filter(light, 3, mode="nearest")
    lab[..., 0] = np.clip(light + amount * (light - blurred), 0, 100)
    close(ours, lab2rgb(lab), 3e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_lincontrchange_is_the_cubic_through_five_points(level):
    img = photo()
    ours, amount = run(img, "lincontrchange", level)
    at = [0, 0.25, 0.5, 0.75, 1]
    to = [0, 0.25 + amount / 4, 0.5, 0.75 - amount / 4, 1]
    close(ours, interpolate.BarycentricInterpolator(at, to)(img), 1e-5)


@pytest.mark.parametrize("level", LEVELS)
def test_nonlincontrchange_rescales_the_intensity(level):
    img = photo()
    ours, half = run(img, "nonlincontrchange", level)
    theirs = exposure.rescale_intensity(img, in_range=(0, 1), out_range=(0.5 - half, 0.5 + half))
    close(ours, theirs, 1e-6)
