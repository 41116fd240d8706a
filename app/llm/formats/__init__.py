"""The formats of language models. A new one is a file here and an entry in this list."""

from __future__ import annotations

from collections.abc import Mapping

from app.llm.formats import anthropic, openai
from app.llm.formats.format import LLMFormat

DEFAULT = openai.FORMAT
FORMATS: Mapping[str, LLMFormat] = {
    format_.name: format_ for format_ in (DEFAULT, anthropic.FORMAT)
}
