"""The known images of golden scores are what they were."""

import hashlib

import numpy as np
import pytest

from qualiclip_metric import golden

CODE = ["code/gradient", "code/checker", "code/noise"]


def test_code_images_are_what_they_were() -> None:
    """The images themselves are frozen: a golden score is worth no more than its image."""
    digests = {name: hashlib.sha256(golden.IMAGES[name]().tobytes()).hexdigest()[:16]
               for name in CODE}  # fmt: skip
    assert digests == {
        "code/gradient": "6d943d974dd42fe5",
        "code/checker": "dbfb70c9bed44789",
        "code/noise": "3fa3fcd47f57c47d",
    }


@pytest.mark.parametrize("name", golden.IMAGES)
def test_images(name: str) -> None:
    pytest.importorskip("skimage")
    pixels = golden.IMAGES[name]()
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.std() > 5


def test_degraded_photos_are_degraded() -> None:
    pytest.importorskip("skimage")
    rough = {name: np.abs(np.diff(golden.IMAGES[f"skimage/chelsea{name}"]().astype(int))).mean()
             for name in ("", ", noisy")}  # fmt: skip
    step = [np.abs(np.diff(golden.IMAGES[f"skimage/chelsea{name}"]().astype(int), axis=0)).mean()
            for name in (", blurred", "", ", noisy")]  # fmt: skip
    assert step == sorted(step)
    assert rough[", noisy"] > rough[""]
