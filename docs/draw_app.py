"""Draw docs/images/app-*.webp: `qualiclip app` in headless Chromium, at two widths, light and dark.

Run `python docs/draw_app.py`. It needs the extra `dev`, chromium and chromedriver. The photos are
those of scikit-image: clean, half blurred, and one that is cut off.
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

from PIL import Image, ImageFilter
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from qualiclip_metric.sample_photos import sample_photo

IMAGES = Path(__file__).parent / "images"
SHOTS = {
    "app-light": (1280, 960, "light", "one"),
    "app-dark": (1280, 960, "dark", "two"),
    "app-phone-light": (400, 900, "light", "list"),
    "app-phone-dark": (400, 900, "dark", "one"),
}
"""Name -> width, height, theme, and what is open."""


def main(out: Path) -> None:
    """Draw every picture.

    Args:
        out: Folder for them.
    """
    with tempfile.TemporaryDirectory() as folder, served() as address:
        photos = make_photos(Path(folder))
        for name, (width, height, theme, shown) in SHOTS.items():
            with browser(width, height, theme) as page:
                page.get(address)
                drop(page, photos)
                open_part(page, shown)
                picture = Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB")
                picture.save(out / f"{name}.webp", quality=80, method=6)
                print(out / f"{name}.webp", picture.size)


def make_photos(folder: Path) -> list[Path]:
    """Six files: four photos, one of them half blurred as well, one cut off."""
    files = []
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        files.append(folder / f"{name}.png")
        Image.fromarray(sample_photo(name)).save(files[-1])
    sharp = Image.fromarray(sample_photo("astronaut"))
    half = sharp.filter(ImageFilter.GaussianBlur(3))
    half.paste(sharp.crop((0, 0, sharp.width // 2, sharp.height)))
    half.save(folder / "astronaut, half blurred.png")
    (folder / "cut off.png").write_bytes(files[0].read_bytes()[:20_000])
    return [*files, folder / "astronaut, half blurred.png", folder / "cut off.png"]


@contextmanager
def served() -> Iterator[str]:
    """The page's address while `qualiclip app` runs."""
    command = [sys.executable, "-m", "qualiclip_metric", "app", "--precision", "fp32"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        try:
            yield app.stdout.readline().strip()
        finally:
            app.terminate()


@contextmanager
def browser(width: int, height: int, theme: str) -> Iterator[Any]:
    """Chromium with a screen of this size that asks for this theme."""
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


def drop(page: Any, photos: list[Path]) -> None:
    """Give the page photos, and wait until all are scored and one is open."""
    wait = WebDriverWait(page, 60)
    field = wait.until(lambda p: p.find_element(By.CSS_SELECTOR, "#qc-drop input[type=file]"))
    field.send_keys("\n".join(map(str, photos)))
    wait.until(lambda p: "mean" in p.find_element(By.CSS_SELECTOR, ".qc-status").text)
    wait.until(lambda p: p.find_elements(By.CSS_SELECTOR, "#qc-one article img"))


def open_part(page: Any, shown: str) -> None:
    """Open the half blurred photo, the comparison of it with the sharp one, or stay at the list."""
    wait = WebDriverWait(page, 60)
    if shown == "list":
        return
    name = "astronaut, half blurred.png"
    row = next(
        r for r in page.find_elements(By.CSS_SELECTOR, "#qc-photos button") if name in r.text
    )
    page.execute_script("arguments[0].click()", row)
    wait.until(lambda p: name in p.find_element(By.CSS_SELECTOR, "#qc-one h2").text)
    if shown == "two":
        tabs = page.find_elements(By.CSS_SELECTOR, "button[role=tab]")
        next(tab for tab in tabs if tab.text == "Two photos").click()
        wait.until(lambda p: p.find_elements(By.CSS_SELECTOR, "#qc-two article img"))
        for place, start in (("first", "astronaut.png "), ("second", name)):
            field = page.find_element(By.CSS_SELECTOR, f"#qc-{place} input")
            field.click()
            time.sleep(1)  # the list unfolds
            options = page.find_elements(By.CSS_SELECTOR, "[role=option]")
            next(one for one in options if start in one.text).click()
        wait.until(lambda p: name in p.find_element(By.CSS_SELECTOR, "#qc-two").text)
    time.sleep(1.5)  # the page scrolls smoothly


if __name__ == "__main__":
    main(IMAGES)
