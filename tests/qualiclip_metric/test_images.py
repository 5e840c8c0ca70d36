"""Images as tensors."""

from pathlib import Path

import numpy as np
from PIL import Image

from qualiclip_metric import images
from qualiclip_metric.images import pixels, to_tensor
from tests.qualiclip_metric.decoding.sample_files import PHOTO


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
