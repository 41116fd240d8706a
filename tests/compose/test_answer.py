from __future__ import annotations

import sys

import pytest

from app.compose.answer import distinct, keys_of, open_clients, options_of, policy_of
from app.compose.tracing import open_tracer
from app.errors import LoadFailed
from app.llm import Prompt
from app.llm.formats import FORMATS
from app.llm.formats.anthropic import Anthropic
from app.llm.formats.openai import OpenAI
from app.settings import load
from app.tracing.otel import OtelTracer
from app.tracing.tracer import HarmlessTracer, NoTracer
from tests.answer.rooms import POLICY
from tests.llm.asking import OPTIONS


def test_each_language_model_gets_the_key_at_its_position_and_its_format() -> None:
    llm = "http://a/v1#m,anthropic:https://b/v1#n,https://api.openai.com/v1#o"
    settings = load({}, llm=llm, llm_keys="-,two,three")
    assert [key.get_secret_value() for key in keys_of(settings)] == ["", "two", "three"]
    formats = [FORMATS[named.format].open(named.url) for named in settings.named_llms]
    assert isinstance(formats[1], Anthropic)
    bodies = [
        format_.body(Prompt("", ()), "m", max_tokens=1, temperature=None, stream=False)
        for format_ in (formats[0], formats[2])
    ]
    assert ["max_tokens" in body for body in bodies] == [True, False]
    assert isinstance(formats[0], OpenAI)
    assert [client.name for client in open_clients(settings)] == ["m", "n", "o"]


def test_without_keys_none_is_sent() -> None:
    (key,) = keys_of(load({}, llm="http://a/v1#m"))
    assert OpenAI(newest=False).headers(key.get_secret_value()) == {}


def test_policy_and_options_are_those_of_the_settings() -> None:
    assert policy_of(load({})) == POLICY
    assert options_of(load({})) == OPTIONS


def test_one_model_at_two_urls_has_two_names() -> None:
    assert distinct(["m", "n", "m"]) == ["m (1)", "n", "m (3)"]


def test_traces_are_sent_only_when_they_are_switched_on() -> None:
    assert isinstance(open_tracer(load({})), NoTracer)
    tracer = open_tracer(load({}, traces=True))
    assert isinstance(tracer, HarmlessTracer)
    assert isinstance(tracer.inner, OtelTracer)
    tracer.close()


def test_traces_without_their_library_are_refused_at_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "app.tracing.otel", None)
    with pytest.raises(LoadFailed, match=r"pip install 'rerankd\[otel\]'"):
        open_tracer(load({}, traces=True))
