"""Small rerankers of each family, with random weights, made from the family's own config."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import LayerNorm, Pooling
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer, UnigramTrainer
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
)

TEXTS = [
    "The library opens at nine and closes at six.",
    "Books are lent for four weeks; a longer loan may be asked for at the desk.",
    "Which river runs through ten lands? The Danube does, from the Black Forest to the Black Sea.",
    "Les livres sont prêtés pour quatre semaines. Bücher werden vier Wochen lang verliehen.",
    "図書館は九時に開きます。 Is the answer yes or no?",
    "0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ abcdefghijklmnopqrstuvwxyz .,;:!?()[]<>/-_'\"|",
]
WIDTH = 32
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_labels": 1,
}
VOCABULARY = 400
PLAIN_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{{ message.content }}<|im_end|>\n{% endfor %}"
)


def bert(folder: Path, labels: int = 1, seed: int = 0, width: int = WIDTH) -> Path:
    """As in ms-marco-MiniLM-L-6 and L-12."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for text in TEXTS for word in re.findall(r"\w+", text.lower())})
    letters = sorted({letter for text in TEXTS for letter in text.lower()} - {" "})
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = fast_tokenizer(
        tokenizer_object=tokenizer,
        model_max_length=64,
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(fast),
        intermediate_size=2 * width,
        max_position_embeddings=64,
        **(SIZES | {"num_labels": labels, "hidden_size": width}),
    )
    return save(BertForSequenceClassification(config), fast, folder, seed)


def xlm_roberta(folder: Path, width: int = WIDTH) -> Path:
    """As in bge-reranker-base, -large and -v2-m3, and mmarco-mMiniLMv2."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        TEXTS, UnigramTrainer(vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>")
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    fast = fast_tokenizer(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    config = XLMRobertaConfig(
        vocab_size=len(fast),
        intermediate_size=2 * width,
        max_position_embeddings=66,
        pad_token_id=1,
        **(SIZES | {"hidden_size": width}),
    )
    return save(XLMRobertaForSequenceClassification(config), fast, folder)


def byte_level(special: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        TEXTS,
        BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return tokenizer


def modern_bert(folder: Path) -> Path:
    tokenizer = byte_level(["[CLS]", "[SEP]", "[PAD]", "[UNK]", "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 0), ("[SEP]", 1)],
    )
    fast = fast_tokenizer(
        tokenizer_object=tokenizer,
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
    config = ModernBertConfig(
        vocab_size=len(fast),
        intermediate_size=48,
        max_position_embeddings=128,
        pad_token_id=2,
        cls_token_id=0,
        bos_token_id=0,
        sep_token_id=1,
        eos_token_id=1,
        **SIZES,
    )
    return save(ModernBertForSequenceClassification(config), fast, folder)


def qwen3(folder: Path, template: str | None = PLAIN_CHATML) -> Path:
    """As in Qwen3-Reranker: a causal model asked for yes or no."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    fast = fast_tokenizer(
        tokenizer_object=byte_level(special),
        model_max_length=320,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.chat_template = template
    config = Qwen3Config(
        vocab_size=len(fast),
        intermediate_size=64,
        max_position_embeddings=320,
        num_key_value_heads=2,
        head_dim=8,
        pad_token_id=0,
        **SIZES,
    )
    return save(Qwen3ForCausalLM(config), fast, folder)


def fast_tokenizer(**options: Any) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(**options)  # type: ignore[no-untyped-call]


def save(
    model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path, seed: int = 0
) -> Path:
    """Weights are drawn wide, so that scores differ enough to tell pairs apart."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.2)
    model.save_pretrained(folder)  # type: ignore[operator]
    tokenizer.save_pretrained(folder)
    return folder


def modular(folder: Path, family: str) -> Path:
    """As the Ettin rerankers: a backbone, and a head of modules."""
    whole, own = FAMILIES[family](folder / "whole"), folder / "modular"
    backbone = Transformer(str(whole), transformer_task="feature-extraction")
    width = SIZES["hidden_size"]
    torch.manual_seed(1)
    head = [
        Pooling(width, pooling_mode="cls"),
        Dense(width, width, bias=False, activation_function=torch.nn.GELU()),
        LayerNorm(width),
        Dense(width, 1, activation_function=None, module_output_name="scores"),
    ]
    CrossEncoder(modules=[backbone, *head]).save_pretrained(str(own))
    return own


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "bert": bert,
    "xlm-roberta": xlm_roberta,
    "modernbert": modern_bert,
    "qwen3": qwen3,
}
