"""`qualiclip app` as a user has it: the command, headless Chromium, photos dropped on the page."""

import csv
import io
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from qualiclip_metric.cli import app
from qualiclip_metric.reference import shipped
from qualiclip_metric.sample_photos import sample_photo

By = pytest.importorskip("selenium.webdriver.common.by").By
WebDriverWait = pytest.importorskip("selenium.webdriver.support.ui").WebDriverWait

GUARD = """
import ipaddress, sys
def hook(event, args):
    if event in ("socket.connect", "socket.sendto") and isinstance(args[1], tuple):
        host = args[1][0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if host in (None, "", "localhost") or host.startswith("127.") or host == "::1":
        return
    print("OUTSIDE", event, host, file=sys.stderr, flush=True)
    raise OSError("no network")
sys.addaudithook(hook)
from qualiclip_metric.cli import main
main()
"""
WAIT = 120
pytestmark = pytest.mark.skipif(
    find_spec("gradio") is None, reason="the page is Gradio's: pip install 'qualiclip-metric[app]'"
)
CAPTIONS = "#qc-photos .caption-label"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos, one of them broken, and one too large to be taken."""
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(sample_photo("chelsea")).save(folder / "chelsea.png")
    Image.fromarray(sample_photo("chelsea")).resize((90, 60)).resize((451, 300)).save(
        folder / "blurred.png"
    )
    (folder / "broken.png").write_bytes((folder / "chelsea.png").read_bytes()[:9000])
    (folder / "large").mkdir()
    noise = Image.effect_noise((1200, 1200), 80)
    noise.save(folder / "large" / "large.png")
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The command running in an empty folder; afterwards it must have left nothing behind."""
    folder = tmp_path_factory.mktemp("app")
    for name in ("home", "scratch", "here"):
        (folder / name).mkdir()
    kept = {k: v for k, v in os.environ.items() if "GRADIO" not in k and "QUALICLIP" not in k}
    homes = {name: str(folder / "home") for name in ("HOME", "XDG_CACHE_HOME", "HF_HOME")}
    source = str(Path(__file__).parents[3])
    mine = replace(shipped(), name="my photos")
    mine.save(folder / "mine.json")
    options = ["--precision", "fp32", "--max-upload", "1", "--reference", folder / "mine.json"]
    command = [sys.executable, "-c", GUARD, "app", *options]
    with (folder / "stderr").open("w+") as stderr:
        process = subprocess.Popen(
            command,
            env={**kept, **homes, "TMPDIR": str(folder / "scratch"), "PYTHONPATH": source},
            cwd=folder / "here",
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:"), (folder / "stderr").read_text()
            yield SimpleNamespace(address=address, reference=folder / "mine.json")
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=WAIT)
    said = (folder / "stderr").read_text()
    assert process.returncode == 128 + signal.SIGTERM, said
    assert "OUTSIDE" not in said
    assert "Traceback" not in said
    left = [path for name in ("scratch", "here") for path in (folder / name).rglob("*")]
    assert left == []


@pytest.fixture
def opened(browser: Any, served: SimpleNamespace, photos: Path) -> Any:
    """The page after three photos were dropped on it."""
    browser.get_log("browser")
    browser.get(served.address)
    drop(browser, *sorted(photos.glob("*.png")))
    until(browser, lambda: "could not be scored" in text(browser, "#qc-status"))
    until(browser, lambda: browser.find_elements(By.CSS_SELECTOR, "#qc-photo img"))
    return browser


def text(page: Any, selector: str) -> str:
    return " ".join(texts(page, selector))


def texts(page: Any, selector: str) -> list[str]:
    """Of all elements at one moment: the page may be drawing them anew."""
    script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText.trim())"
    found: list[str] = page.execute_script(script, selector)
    return found


def until(page: Any, true: Any) -> None:
    WebDriverWait(page, WAIT).until(lambda _: true())


def drop(page: Any, *files: Path) -> None:
    field = "#qc-drop input[type=file]"
    until(page, lambda: page.find_elements(By.CSS_SELECTOR, field))
    page.find_element(By.CSS_SELECTOR, field).send_keys("\n".join(map(str, files)))


def by_command_line(photos: Path, reference: Path) -> list[dict[str, str]]:
    """Rows of `qualiclip score` for the same files, best first."""
    words = ["score", str(photos / "*.png"), "--format", "csv", "--precision", "fp32", "--sort"]
    words += ["--diagnose", "--percentile", "--reference", str(reference)]
    done = CliRunner().invoke(app, words)
    return list(csv.DictReader(io.StringIO(done.stdout)))


def test_scores_are_those_of_the_command_line(
    opened: Any, photos: Path, served: SimpleNamespace
) -> None:
    expected = by_command_line(photos, served.reference)
    for row in expected:
        row["path"] = Path(row["path"]).name
    assert texts(opened, CAPTIONS) == [
        f"{float(row['score']):.4f} · above {float(row['percentile']):.0f} % · "
        f"{row['fault'].replace('none', 'no fault')} {float(row['probability']):.0%}"
        f" · {row['path']}"
        for row in expected[:2]
    ]
    until(opened, lambda: expected[2]["error"] in text(opened, "#qc-failures"))
    assert expected[2]["path"] in text(opened, "#qc-failures")
    file = opened.downloads / "scores.csv"
    opened.find_element(By.ID, "qc-csv").click()
    until(opened, file.exists)
    assert list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))) == expected
    signature = opened.find_element(By.CSS_SELECTOR, "#qc-signature textarea")
    assert "reference:my photos" in expected[0]["signature"]
    assert signature.get_property("value") == expected[0]["signature"]


def test_nothing_comes_from_elsewhere(opened: Any, served: SimpleNamespace) -> None:
    names = opened.execute_script(
        "return performance.getEntriesByType('resource').map((e) => e.name)"
    )
    assert len(names) > 10
    inside = (served.address, "data:", "blob:")
    assert [name for name in names if not name.startswith(inside)] == []
    logged = [entry["message"] for entry in opened.get_log("browser")]
    signs = ("Content Security Policy", "Failed to load resource")
    assert [message for message in logged if any(sign in message for sign in signs)] == []
    with urllib.request.urlopen(served.address) as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_photo_opens_with_its_map_and_what_is_wrong(opened: Any) -> None:
    score, _, fault, name = texts(opened, CAPTIONS)[1].split(" · ")
    opened.find_elements(By.CSS_SELECTOR, "#qc-photos button")[1].click()
    until(opened, lambda: name in text(opened, "#qc-photo label"))
    assert score in text(opened, "#qc-score")
    assert "of 1,127 my photos" in text(opened, "#qc-score")
    assert text(opened, "#qc-faults h2") == fault.rpartition(" ")[0]
    assert len(texts(opened, "#qc-profile dt")) == 7
    picture = "return [...document.querySelectorAll('#qc-photo img')].map((e) => e.src).join()"
    before = opened.execute_script(picture)
    opened.find_elements(By.CSS_SELECTOR, "#qc-map input")[1].click()
    until(opened, lambda: opened.execute_script(picture) not in ("", before))


def test_two_photos_stand_side_by_side_with_their_difference(opened: Any) -> None:
    tabs = opened.find_elements(By.CSS_SELECTOR, "button[role=tab]")
    next(tab for tab in tabs if tab.text == "Two photos").click()
    until(opened, lambda: text(opened, "#qc-change h2"))
    first, second = (float(caption.split()[0]) for caption in texts(opened, CAPTIONS))
    assert float(text(opened, "#qc-change h2")) == pytest.approx(second - first, abs=1.1e-4)
    assert "the first scores higher" in text(opened, "#qc-change")
    assert len(opened.find_elements(By.CSS_SELECTOR, "#qc-two img")) == 2
    until(opened, lambda: "Sharp/Blurry edges" in text(opened, "#qc-profiles"))


def test_the_order_turns_and_starting_over_empties_the_page(opened: Any) -> None:
    captions = texts(opened, CAPTIONS)
    opened.find_element(By.CSS_SELECTOR, "input[value='Worst first']").click()
    until(opened, lambda: texts(opened, CAPTIONS) == captions[::-1])
    opened.find_element(By.ID, "qc-clear").click()
    until(opened, lambda: not texts(opened, CAPTIONS))
    until(opened, lambda: not opened.find_elements(By.ID, "qc-photo"))


def test_a_file_over_the_limit_is_refused(opened: Any, photos: Path) -> None:
    drop(opened, photos / "large" / "large.png")
    until(opened, lambda: "maximum" in text(opened, "body"))
    assert len(texts(opened, CAPTIONS)) == 2


@pytest.mark.usefixtures("narrow")
def test_nothing_is_wider_than_a_phone(opened: Any) -> None:
    assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
    opened.find_elements(By.CSS_SELECTOR, "#qc-photos button")[1].click()
    place = "return document.querySelector('#qc-photo').getBoundingClientRect()"
    until(opened, lambda: abs(opened.execute_script(place)["top"]) < 100)


def test_a_port_in_use_is_an_error_with_the_cure(served: SimpleNamespace) -> None:
    port = served.address.rstrip("/").rpartition(":")[2]
    command = [sys.executable, "-m", "qualiclip_metric", "app", "--port", port]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=WAIT, check=False)
    assert ran.returncode == 2
    assert f"error: cannot listen on port {port} of 127.0.0.1: is it in use?" in ran.stderr
    assert "Traceback" not in ran.stderr
