"""Models of a few thousand weights, and a base folder of the same shape as all-MiniLM-L6-v2's."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from app.engines.torch.duet import Duet
from app.training.bundled.data import Source
from app.training.bundled.start import from_bert, pair_tokenizer

TEXT = "the river runs through ten lands a boat sails slow and deep waters rise in spring"
WORDS = TEXT.split()


def write_base(folder: Path) -> BertModel:
    torch.manual_seed(0)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    bert: BertModel = BertModel(config).eval()  # type: ignore[no-untyped-call]
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    save_file(
        {k: v.contiguous() for k, v in bert.state_dict().items()}, folder / "model.safetensors"
    )
    return bert


def start(folder: Path) -> tuple[Duet, PreTrainedTokenizerFast]:
    model, tokenizer = from_bert(folder), pair_tokenizer(folder)
    model.train(mode=False)
    torch.manual_seed(1)
    with torch.no_grad():
        model.evidence.weight.weight.uniform_(0.5, 3)
        model.head.line.weight.fill_(1)
        model.head.joint.weight.zero_()
    return model, tokenizer


def source(name: str = "rivers", queries: int = 12) -> Source:
    rng = np.random.default_rng(0)
    passages = [" ".join(rng.choice(WORDS, 8)) for _ in range(40)]
    questions = [" ".join(passages[number].split()[:3]) + f" {number}" for number in range(queries)]
    candidates = np.stack([rng.permutation(np.arange(queries, 40))[:20] for _ in range(queries)])
    return Source(
        name, passages, questions, [[n] for n in range(queries)], candidates.astype(np.int32)
    )
