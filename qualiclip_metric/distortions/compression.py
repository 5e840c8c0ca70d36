"""JPEG (torchvision) and JPEG 2000 (Pillow). Both code on the CPU, wherever the batch lives."""

import io
import warnings

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from qualiclip_metric.images import to_uint8

# torchvision 0.29 announces that its coders will move to torchcodec in some later release.
_DEPRECATED = "The image decoding and encoding capabilities of TorchVision"
_MAX_RESOLUTIONS = 8  # wavelet resolutions of the reference; small images have room for fewer
_HEADER_BYTES = 200  # of a codestream: a third of the budget of a 224 px crop at 1:256


def jpeg(img: Float[Tensor, "n 3 h w"], quality: float) -> Float[Tensor, "n 3 h w"]:
    """JPEG of libjpeg ``quality`` 1..100, chroma at half resolution."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", _DEPRECATED, DeprecationWarning)
        coded = encode_jpeg(list(to_uint8(img)), quality=round(quality))
        decoded = [decode_jpeg(stream, mode=ImageReadMode.RGB) for stream in coded]
    return torch.stack(decoded).to(img) / 255


def jpeg2000(img: Float[Tensor, "n 3 h w"], ratio: float) -> Float[Tensor, "n 3 h w"]:
    """JPEG 2000 with 9/7 wavelets at a compression ``ratio`` to 24-bit RGB.

    The header is not counted, so that a ratio means the same damage at any image size.
    """
    decoded = []
    for one in to_uint8(img):
        with Image.open(io.BytesIO(jpeg2000_stream(one, ratio))) as picture:
            decoded.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    return torch.stack(decoded).to(img) / 255


def jpeg2000_stream(img: UInt8[Tensor, "3 h w"], ratio: float) -> bytes:
    """Code one 8-bit image as a bare JPEG 2000 codestream."""
    height, width = img.shape[-2:]
    raw = 3 * height * width
    stream = io.BytesIO()
    Image.fromarray(img.permute(1, 2, 0).contiguous().numpy()).save(
        stream,
        "JPEG2000",
        no_jp2=True,
        irreversible=True,
        quality_mode="rates",
        quality_layers=[raw / (raw / ratio + _HEADER_BYTES)],
        num_resolutions=min(_MAX_RESOLUTIONS, min(height, width).bit_length()),
        progression="LRCP",
    )
    return stream.getvalue()
