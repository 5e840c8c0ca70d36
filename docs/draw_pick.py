"""Draw docs/images/pick.webp: the page of `qualiclip pick --html` in headless Chromium.

Run `python docs/draw_pick.py`. It needs the extra `dev`, chromium and chromedriver. The bursts are
photos of scikit-image, each with versions that have faults of a camera.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from draw_app import IMAGES, browser
from PIL import Image

from qualiclip_metric.distortions import LINKS
from qualiclip_metric.images import from_array, to_picture
from qualiclip_metric.sample_photos import sample_photo

BURSTS = {
    "coffee": {"defocus": 0.3, "sensor_noise": 0.8, "overexposure": 0.5},
    "rocket": {"hand_shake": 0.5, "low_light": 0.5},
}
"""Photo -> the faults of the other frames, with their strength."""


def main() -> None:
    """Draw the page."""
    with tempfile.TemporaryDirectory() as name:
        photos, page = Path(name, "photos"), Path(name, "page.html")
        photos.mkdir()
        make_bursts(photos)
        words = ["pick", str(photos), "--html", str(page), "--precision", "fp32"]
        subprocess.run([sys.executable, "-m", "qualiclip_metric", *words], check=True)
        with browser(1280, 860, "light") as chromium:
            chromium.get(page.as_uri())
            picture = Image.open(io.BytesIO(chromium.get_screenshot_as_png())).convert("RGB")
    picture.save(IMAGES / "pick.webp", quality=80, method=6)
    print(IMAGES / "pick.webp", picture.size)


def make_bursts(folder: Path) -> None:
    """Write each photo, and a version of it with each fault."""
    for name, faults in BURSTS.items():
        img = from_array(sample_photo(name))[None]
        frames = [img]
        for fault, strength in faults.items():
            rng = torch.Generator().manual_seed(2)
            frames.append(LINKS[fault].apply(img, strength, rng).clamp(0, 1))
        for place, frame in enumerate(frames):
            to_picture(frame[0]).save(folder / f"{name}-{(place + 1) % len(frames)}.png")


if __name__ == "__main__":
    main()
