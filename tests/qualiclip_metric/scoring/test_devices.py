"""Several devices, simulated by several processes on the CPU: order, errors, ends."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor
from typer.testing import CliRunner

from qualiclip_metric.cli import app, score_local
from qualiclip_metric.cli._metric import load_metric
from qualiclip_metric.scoring import ScoreOptions, score_items, score_on_devices
from qualiclip_metric.scoring.pipeline import WorkerError
from qualiclip_metric.sources.item import Item
from tests.qualiclip_metric.scoring.mean_metric import mean_metric

ONE, TWO = ("cpu",), ("cpu", "cpu")


in_forks = pytest.mark.usefixtures("forked")


def make_mean(_device: str) -> Callable[[Tensor], Tensor]:
    return mean_metric


def make_nothing(device: str) -> Callable[[Tensor], Tensor]:
    raise ValueError(f"no metric for {device}")


def dies(_images: Tensor) -> Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def make_dying(_device: str) -> Callable[[Tensor], Tensor]:
    return dies


def items(photos: list[Path], times: int = 1) -> list[Item]:
    return [
        Item(f"{turn}/{path.name}", path, {"turn": turn})
        for turn in range(times)
        for path in photos
    ]


@in_forks
def test_rows_are_those_of_one_process_in_order(photos: list[Path], random_lite: Path) -> None:
    missing = [Item("missing", photos[0].with_name("none.png")), Item("bad", None, error="why")]
    work = [*items(photos, 8), *missing]
    make = partial(load_metric, str(random_lite))
    options = ScoreOptions(pairs=True)
    expected = list(score_items(make("cpu"), work, options))
    assert list(score_on_devices(make, TWO, iter(work), options)) == expected
    assert [row.key for row in expected] == [item.key for item in work]


@in_forks
def test_images_do_not_run_ahead_of_a_process(photos: list[Path]) -> None:
    taken = 0

    def endless() -> Iterator[Item]:
        nonlocal taken
        while True:
            taken += 1
            # names so long that the pipes hold few of them
            yield Item(f"{taken:09}" + "x" * 5000, photos[0].with_name("none.png"))

    rows = score_on_devices(make_mean, ONE, endless())
    for count in range(1, 200):
        assert int(next(rows).key[:9]) == count
    rows.close()
    time.sleep(0.1)
    assert taken < 10_000


@in_forks
def test_a_stop_ends_all_of_them(photos: list[Path]) -> None:
    stop: list[int] = []

    def endless() -> Iterator[Item]:
        for number in range(10**9):
            yield Item(str(number), photos[0])

    rows = score_on_devices(make_mean, TWO, endless(), stopped=lambda: bool(stop))
    done = [next(rows).key for _ in range(50)]
    assert done == [str(number) for number in range(50)]
    stop.append(1)
    rest = [row.key for row in rows]
    assert len(set(rest)) == len(rest)
    assert not set(rest) & set(done)


@in_forks
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_nothing, "no metric for cpu"),
        (make_dying, "killed, or out of memory"),
    ],
)
def test_a_process_that_ends_early_is_an_error(photos: list[Path], make: Any, message: str) -> None:
    with pytest.raises(WorkerError, match=message):
        list(score_on_devices(make, ONE, items(photos)))


@in_forks
def test_errors_of_listing_arrive(photos: list[Path]) -> None:
    def broken() -> Iterator[Item]:
        yield from items(photos)
        raise ValueError("no further")

    with pytest.raises(ValueError, match="no further"):
        list(score_on_devices(make_mean, ONE, broken()))


def test_the_command_takes_every_device(
    photos: list[Path], random_lite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["score", *map(str, photos), "-m", str(random_lite), "--format", "csv"]
    expected = CliRunner().invoke(app, words)
    monkeypatch.setattr(score_local, "all_devices", lambda _device: list(TWO))
    both = CliRunner().invoke(app, words)
    assert both.exit_code == 0, both.stderr
    assert both.stdout == expected.stdout
