"""Names of the pixel statistics, apart from `statistics` so that columns need no torch."""

STATISTICS = (
    "brightness", "contrast", "clipped_dark", "clipped_bright",
    "colourfulness", "sharpness", "noise", "blockiness",
)  # fmt: skip
"""Names of the numbers that `statistics.statistics` gives, in their order."""
