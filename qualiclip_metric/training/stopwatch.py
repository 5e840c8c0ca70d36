"""Where a step's time goes: seconds by name of what was done."""

import time

import torch


class Stopwatch:
    """Seconds between laps, by name; waits for the device, whose work is queued.

    Args:
        device: Where the work is done.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.start()

    def start(self) -> None:
        """Start the next lap now; the time since the last one is not counted."""
        self.last = self._now()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to a name."""
        now = self._now()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.last
        self.last = now

    def take(self) -> dict[str, float]:
        """The seconds so far by name; counting starts again from zero."""
        seconds, self.seconds = self.seconds, {}
        return seconds

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


class Rate:
    """Turns draws done into crops per second since the first call.

    Args:
        crops: Crops of a draw.
    """

    def __init__(self, crops: int) -> None:
        self.crops = crops
        self.first: tuple[int, float] | None = None

    def __call__(self, done: int) -> float:
        """Crops per second; 0 on the first call."""
        now = time.perf_counter()
        if self.first is None:
            self.first = (done, now)
        draws, seconds = done - self.first[0], now - self.first[1]
        return draws * self.crops / seconds if seconds else 0.0
