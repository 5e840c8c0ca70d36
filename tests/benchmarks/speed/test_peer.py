"""Tables against the peer on made figures, and one real measurement of a small task."""

from dataclasses import replace

import pytest

from benchmarks.speed import machine, peer
from benchmarks.speed.scorer_process import (
    ScorerTiming,
    SizeTiming,
    SpeedTask,
    run_task,
    time_scorer,
)

SIZES = peer.SIZES


def timing(scale: float, *, moved: float = 0.0, grows: float = 1.0) -> ScorerTiming:
    """Seconds and megabytes that are powers of the area."""
    sizes = [
        SizeTiming((h, w), 9.0, scale * float(h * w) ** grows, 100 + 1e-3 * h * w, 0.5 + moved)
        for h, w in SIZES
    ]
    return ScorerTiming("AMX", scale, sizes, [0.25])


def cells(table: str, name: str) -> list[str]:
    (line,) = (line for line in table.splitlines() if f"| {name} |" in line)
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_a_ratio_is_taken_round_by_round() -> None:
    results = {"peer": [timing(8.0), timing(6.0)], "x": [timing(2.0), timing(1.0)]}
    assert cells(peer.ratio_table(results), "x")[0] == "5.00 (4.00-6.00)"


@pytest.mark.parametrize(("scale", "verdict"), [(1.0, "pass"), (9.0, "below target")])
def test_each_cell_is_judged(scale: float, verdict: str) -> None:
    results = {"peer": [timing(20.0)], "torch bf16": [timing(scale)]}
    judged = cells(peer.ratio_table(results), "torch bf16")
    assert all(cell.endswith(verdict) for cell in judged[: len(SIZES)])


def test_targets_of_bf16_depend_on_the_instructions() -> None:
    ours = timing(1.0)
    for bf16, judged in (("AMX", 8), ("AVX-512 BF16", 7), ("none", 0)):
        results = {"peer": [timing(20.0)], "torch bf16": [replace(ours, bf16=bf16)]}
        table = peer.ratio_table(results)
        assert table.count("pass") + table.count("below target") == judged


def test_the_deviation_is_the_largest_of_sizes_and_photos() -> None:
    for ours, expected in (
        (timing(1, moved=-0.02), "2.0e-02"),
        (replace(timing(1), photo_scores=[0.75]), "5.0e-01"),
    ):
        assert cells(peer.ratio_table({"peer": [timing(1)], "x": [ours]}), "x")[-2] == expected


def test_the_growth_with_the_area_is_judged() -> None:
    results = {"torch fp32": [timing(1.0)], "torch bf16": [timing(1.0, grows=1.2)]}
    table = peer.seconds_table(results)
    assert cells(table, "torch fp32")[-1] == "1.000, at most 1.05: pass"
    assert cells(table, "torch bf16")[-1] == "1.200, at most 1.05: below target"


def test_rates_of_lite_count_the_images_of_a_batch() -> None:
    sizes = [SizeTiming(size, 1.0, seconds, 1.0, 0.5)
             for size, seconds in zip(peer.LITE_SIZES, (0.5, 2.0), strict=True)]  # fmt: skip
    rounds = [ScorerTiming("none", 1.0, sizes, [])]
    table = peer.lite_table({("torch fp32", 1): rounds, ("torch fp32", 16): rounds})
    assert cells(table, "torch fp32") == ["2.0", "0.5", "32.0", "8.0"]


def test_what_multiplies_bf16_follows_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "has_bf16_instructions", lambda: True)
    monkeypatch.setattr(machine, "_capabilities", lambda: {"amx_bf16": True})
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert machine.bf16_instructions() == "AMX"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")
    assert machine.bf16_instructions() == "AVX-512 BF16"
    monkeypatch.setattr(machine, "has_bf16_instructions", lambda: False)
    assert machine.bf16_instructions() == "none"


def test_a_scorer_is_timed_in_a_process_of_its_own() -> None:
    found = run_task(SpeedTask("torch", "lite", [(64, 96)], batch=2))
    (size,) = found.sizes
    assert size.size == (64, 96) and 0 <= size.score <= 1
    assert size.peak > 50  # MB; torch alone takes more
    with pytest.raises(ValueError, match="no-such"):
        time_scorer(SpeedTask("torch", "no-such", []))
