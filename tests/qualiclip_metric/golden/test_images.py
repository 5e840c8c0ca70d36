"""The known images of golden scores are what they were."""

import hashlib

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
