"""Baselines that every quality metric should beat; for both, higher is better."""

import io

import torch
from torch import Tensor

from qualiclip_metric.images import to_picture

_LUMA = (0.299, 0.587, 0.114)
JPEG_QUALITY = 75


def sharpness(images: Tensor) -> Tensor:
    """Variance of the Laplacian of the luma (ITU-R BT.601), the usual blur detector.

    With luma ``Y = 255 (.299 R + .587 G + .114 B)`` and the kernel ``[0 1 0; 1 -4 1; 0 1 0]``, in
    squared units of the 0..255 scale; images of at least 3x3 px.
    Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000.
    """
    if min(images.shape[-2:]) < 3:
        raise ValueError(f"sharpness needs at least 3x3 pixels, got {tuple(images.shape[-2:])}")
    weights = torch.tensor(_LUMA, dtype=torch.float64, device=images.device)
    luma = 255.0 * torch.einsum("nchw,c->nhw", images.double(), weights)
    laplacian = (
        luma[:, :-2, 1:-1]
        + luma[:, 2:, 1:-1]
        + luma[:, 1:-1, :-2]
        + luma[:, 1:-1, 2:]
        - 4.0 * luma[:, 1:-1, 1:-1]
    )
    return laplacian.flatten(1).var(dim=1, unbiased=False)


def jpegsize(images: Tensor) -> Tensor:
    """Bytes per pixel (N,) of images saved as JPEG at quality 75: a measure of detail."""
    pixels = images.shape[-2] * images.shape[-1]
    sizes = [_jpeg_bytes(image) / pixels for image in images]
    return torch.tensor(sizes, dtype=torch.float64)


def _jpeg_bytes(image: Tensor) -> int:
    buffer = io.BytesIO()
    to_picture(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.tell()
