"""Shared by all tests: no network, a browser, and small metrics that need no weights.

All tests together run in a process per core, each with one thread; tests that are named on the
command line run in pytest's own process.
"""

import ipaddress
import multiprocessing
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # set before torch reads it; commands inherit it
    os.environ["OMP_NUM_THREADS"] = "1"

import torch
from filelock import FileLock
from hypothesis import settings
from torch import Tensor, nn

from qualiclip_metric.metric import QualiCLIP

SEED = 0
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1280,900"),
]

# The same examples on every run: a red suite is about the change at hand. To look for new ones,
# `pytest --hypothesis-profile=default`; one that fails becomes an `@example`.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Processes for the whole suite: one per core, up to 4; none for a part of it."""
    whole = config.args_source == pytest.Config.ArgsSource.TESTPATHS
    return min(len(os.sched_getaffinity(0)), 4) if whole else 0


def _is_local(host: Any) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Connections may go to this machine only."""
    patch = pytest.MonkeyPatch()
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_local(address[0]):
            raise OSError(f"tests have no network: refused a connection to {address}")
        connect(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_local(host):
            raise socket.gaierror(f"tests have no network: refused to look up {host}")
        return lookup(host, *args, **kwargs)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket, "getaddrinfo", guarded_lookup)
    yield
    patch.undo()


class TinyEncoder(nn.Module):
    """Two convolutions and an average: an encoder by all its attributes, in 0.1 ms."""

    dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, self.dim, 3, stride=2), nn.ReLU()
        )

    @property
    def last_stage(self) -> nn.Module:
        return self.trunk

    def forward(self, img: Tensor) -> Tensor:
        dtype = next(self.trunk.parameters()).dtype
        features: Tensor = self.trunk(img.to(dtype)).to(img.dtype).mean(dim=(2, 3))
        return features


@pytest.fixture
def tiny() -> QualiCLIP:
    """A metric with a seeded encoder of two layers; its scores differ between images."""
    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        encoder, prompts = TinyEncoder(), torch.randn(7, 2, TinyEncoder.dim)
    return QualiCLIP(encoder, prompts, temperature=10.0).eval().requires_grad_(False)


@pytest.fixture(scope="session")
def random_lite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint file of a `lite` with random weights and prompts, for what needs a file."""
    from qualiclip_metric import checkpoints
    from qualiclip_metric.encoders.lite import LiteEncoder

    with torch.random.fork_rng():
        torch.manual_seed(SEED)
        encoder, prompts = LiteEncoder(), torch.randn(7, 2, LiteEncoder.dim)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    checkpoints.save(
        checkpoints.Checkpoint("lite", encoder.state_dict(), prompts, licence="CC0"), path
    )
    return path


def once(tmp_path_factory: pytest.TempPathFactory, name: str, write: Callable[[Path], Any]) -> Path:
    """A file that the first of pytest's processes to ask for it writes, and all read."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with FileLock(folder / f"{name}.lock"):
        if not (folder / name).exists():
            write(folder / name)
    return folder / name


@pytest.fixture(scope="session")
def seeded_official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded random RN50 in the layout of qualiclip.pth."""
    from benchmarks.reference.seeded import write_official

    return once(tmp_path_factory, "QualiCLIP.pth", lambda path: write_official(path, SEED))


@pytest.fixture(scope="session")
def seeded_plus(seeded_official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seeded learned prompts in the layout of QualiCLIP+_koniq.pth."""
    from benchmarks.reference.seeded import write_plus

    name = "QualiCLIP+_koniq.pth"
    return once(tmp_path_factory, name, lambda path: write_plus(path, seeded_official, SEED))


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes are forks of a server that has imported torch: begun in a tenth of the time."""
    from tests.faults.processes import PRELOAD

    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(list(PRELOAD))
    monkeypatch.setattr(multiprocessing, "get_context", lambda _method: server)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's Chromium; skips where it, its driver or selenium is absent."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium drives the browser")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no chromium with chromedriver on the path")
    folder = tmp_path_factory.mktemp("browser")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*FLAGS, f"--user-data-dir={folder / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    started = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=driver)
    )
    started.downloads = folder
    yield started
    started.quit()


@pytest.fixture
def page(browser: Any) -> Any:
    """The browser, which after the test has logged no error."""
    browser.get_log("browser")
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


@pytest.fixture
def narrow(browser: Any) -> Iterator[None]:
    """A phone's screen, 390 pixels wide."""
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
