"""Draw docs/images/app-*.webp: `qualiclip app` in headless Chromium, at two widths, light and dark.

Run `python docs/draw_app.py`. It needs the extra `dev`, chromium and chromedriver. The photos are
those of scikit-image, one of them with noise in its right half as well, and a file that is cut off.
"""

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from qualiclip_metric.sample_photos import NAMES, sample_photo

IMAGES = Path(__file__).parent / "images"
HALF = "astronaut, half noisy.png"
SHOTS = {
    "app-light": (1280, 960, "light", "one"),
    "app-dark": (1280, 960, "dark", "two"),
    "app-phone-light": (400, 900, "light", "list"),
    "app-phone-dark": (400, 900, "dark", "one"),
}
"""Name -> width, height, theme, and the part shown: one photo, two compared, or the list."""


def main() -> None:
    """Draw every picture."""
    with tempfile.TemporaryDirectory() as folder, served() as address:
        photos = make_photos(Path(folder))
        for name, (width, height, theme, shown) in SHOTS.items():
            with browser(width, height, theme) as page:
                page.get(address)
                dropped = [p for p in photos if "astronaut" in p.name] if shown == "two" else photos
                show(page, dropped, shown)
                picture = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB")
                picture.save(IMAGES / f"{name}.webp", quality=80, method=6)
                print(IMAGES / f"{name}.webp", picture.size)


def make_photos(folder: Path) -> list[Path]:
    """Write the sample photos, one with noise in its right half, and a file that is cut off."""
    files = [folder / f"{name}.png" for name in NAMES]
    for file in files:
        Image.fromarray(sample_photo(file.stem)).save(file)
    half = sample_photo("astronaut").astype(float)
    right = half[:, half.shape[1] // 2 :]
    right += np.random.default_rng(0).normal(0, 25, right.shape)  # grey levels
    Image.fromarray(half.round().clip(0, 255).astype(np.uint8)).save(folder / HALF)
    (folder / "cut off.png").write_bytes(files[0].read_bytes()[:20_000])
    return [*files, folder / HALF, folder / "cut off.png"]


@contextmanager
def served() -> Iterator[str]:
    """Run `qualiclip app` and yield its address."""
    command = [sys.executable, "-m", "qualiclip_metric", "app", "--precision", "fp32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        try:
            yield app.stdout.readline().strip()
        finally:
            app.terminate()


@contextmanager
def browser(width: int, height: int, theme: str) -> Iterator[Any]:
    """Start Chromium with a screen of this size that asks for this theme."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "chromium"
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    page = webdriver.Chrome(options=options, service=service)
    try:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        yield page
    finally:
        page.quit()


def show(page: Any, photos: list[Path], shown: str) -> None:
    """Drop photos on the page, wait for their scores, and open the part to be shown."""
    wait = WebDriverWait(page, 120)

    def elements(selector: str) -> list[Any]:
        return list(page.find_elements(By.CSS_SELECTOR, selector))

    field = wait.until(lambda _: elements("#qc-drop input[type=file]"))[0]
    field.send_keys("\n".join(map(str, photos)))
    wait.until(lambda _: elements("#qc-photo img"))
    if shown == "one":
        row = next(row for row in elements("#qc-photos button") if HALF in row.text)
        page.execute_script("arguments[0].click()", row)
        wait.until(lambda _: any(HALF in label.text for label in elements("#qc-photo label")))
    elif shown == "two":  # the best and the worst of two photos
        next(tab for tab in elements("button[role=tab]") if tab.text == "Two photos").click()
        wait.until(lambda _: elements("#qc-two img"))
    time.sleep(1.5)  # the page scrolls smoothly


if __name__ == "__main__":
    main()
