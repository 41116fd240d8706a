"""A caller's text is only text: `[SEP]` in a document is read as letters, never as a control token.

A tokenizer by itself turns the name of a control token into the token wherever it stands, so a
document could pose as a query or close the template around it.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

Control = Mapping[int, str]


def control_tokens(tokenizer: Tokenizer, template: Iterable[int] = ()) -> Control:
    """Special tokens, and all others that were added and the template is made of (`<think>`).

    Words that were added to a vocabulary for a subject stay words.
    """
    used = set(template)
    return {
        number: token.content
        for number, token in tokenizer.get_added_tokens_decoder().items()
        if token.special or number in used
    }


def names_of(control: Control) -> re.Pattern[str]:
    """Finds them in a text, the longest first."""
    names = sorted(control.values(), key=lambda name: -len(name))
    return re.compile("|".join(map(re.escape, names)) or "(?!)")


def read_plainly(tokenizer: Tokenizer, control: Control) -> Tokenizer:
    """The same tokenizer if it can read names of control tokens as text; else a copy that can."""
    tokenizer.encode_special_tokens = True
    return tokenizer if not leaks(tokenizer, control) else plain_copy(tokenizer, control)


def plain_copy(tokenizer: Tokenizer, control: Control) -> Tokenizer:
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["special"] = token["special"] or token["content"] in control.values()
    copy = rebuilt(content)
    if leaking := leaks(copy, control):
        names = {control[number] for number in leaking}
        hide(content, names - {content["model"].get("unk_token")})
        copy = rebuilt(content)
        if still := leaks(copy, control):
            fields = {"tokens": sorted(control[number] for number in still)}
            logger.warning("control_tokens_not_plain", extra={"fields": fields})
    return copy


def rebuilt(content: Mapping[str, Any]) -> Tokenizer:
    copy = Tokenizer.from_str(json.dumps(content))
    copy.encode_special_tokens = True
    return copy


def leaks(tokenizer: Tokenizer, control: Control) -> set[int]:
    """Control tokens that the model's own vocabulary finds in their names."""
    unknown = unknown_token(tokenizer)
    encoded = tokenizer.encode_batch_fast(list(control.values()), add_special_tokens=False)
    return {number for encoding in encoded for number in encoding.ids if number in control} - {
        unknown
    }


def unknown_token(tokenizer: Tokenizer) -> int | None:
    """What stands for letters that the vocabulary lacks: it carries no meaning in a text."""
    name = getattr(tokenizer.model, "unk_token", None)
    if name is not None:
        return tokenizer.token_to_id(name)
    number: int | None = json.loads(tokenizer.to_str())["model"].get("unk_id")
    return number


def hide(content: dict[str, Any], names: set[str]) -> None:
    """Give the pieces names that no text contains: sentence pieces match whatever they spell."""
    model = content["model"]
    secret = {name: secrets.token_hex(16) for name in names}
    content["added_tokens"] = [
        token for token in content["added_tokens"] if token["content"] not in names
    ]
    if isinstance(model["vocab"], list):
        model["vocab"] = [[secret.get(piece, piece), score] for piece, score in model["vocab"]]
        return
    model["vocab"] = {secret.get(piece, piece): number for piece, number in model["vocab"].items()}
    if "merges" in model:
        merges = model["merges"]
        parts = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
        model["merges"] = [
            merge for merge, (a, b) in zip(merges, parts, strict=True) if not names & {a, b, a + b}
        ]
