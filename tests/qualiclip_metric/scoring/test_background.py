"""`in_background`: bounded, ended with its reader, stopped while it waits."""

from collections.abc import Iterator

import pytest

from qualiclip_metric.scoring.pipeline import in_background


def test_the_background_is_bounded_and_ends_with_its_reader() -> None:
    taken, closed = 0, []

    def endless() -> Iterator[int]:
        nonlocal taken
        try:
            while True:
                taken += 1
                yield taken
        finally:
            closed.append(True)

    values = in_background(endless(), 5)
    assert [next(values) for _ in range(3)] == [1, 2, 3]
    values.close()
    assert closed
    assert taken <= 3 + 5 + 2


def test_errors_of_the_background_arrive() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    values = in_background(broken(), 1)
    assert next(values) == 1
    with pytest.raises(ValueError, match="broken"):
        next(values)


def test_who_waits_for_nothing_can_be_stopped() -> None:
    stop = []

    def silent() -> Iterator[int]:
        yield 1
        while not stop:
            pass

    values = in_background(silent(), 1, lambda: bool(stop))
    assert next(values) == 1
    stop.append(True)
    assert list(values) == []
