"""The formats of language models. To add one: a file beside these, and a place in this list."""

from __future__ import annotations

from collections.abc import Mapping

from app.llm.formats import anthropic, openai
from app.llm.formats.format import LLMFormat

DEFAULT = openai.FORMAT
FORMATS: Mapping[str, LLMFormat] = {
    format_.name: format_ for format_ in (DEFAULT, anthropic.FORMAT)
}
