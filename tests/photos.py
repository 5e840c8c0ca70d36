"""Photos of coarse noise for runs that train or score."""

from pathlib import Path

import torch

from qualiclip_metric.images import to_picture


def write_photos(
    folder: Path, count: int, size: tuple[int, int] = (90, 110), grid: int = 12
) -> list[Path]:
    """Write PNG files of `size` (height, width), each of `grid` x `grid` random colours."""
    rng = torch.Generator().manual_seed(0)
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(count)]
    for path in paths:
        coarse = torch.rand(1, 3, grid, grid, generator=rng)
        to_picture(torch.nn.functional.interpolate(coarse, size, mode="nearest")[0]).save(path)
    return paths
