from __future__ import annotations

import sys

import pytest

from app.answer.harmless_tracer import HarmlessTracer
from app.answer.otel import OtelTracer
from app.answer.tracing import NoTracer
from app.compose.answer import open_tracer, plan_of
from app.compose.answering import distinct
from app.errors import LoadFailed
from app.llm import Prompt
from app.llm.formats import FORMATS
from app.llm.formats.anthropic import Anthropic
from app.llm.formats.openai import OpenAI
from app.settings import load


def test_each_language_model_gets_the_key_at_its_place_and_its_format() -> None:
    llm = "http://a/v1#m,anthropic:https://b/v1#n,https://api.openai.com/v1#o"
    plan = plan_of(load({}, llm=llm, llm_keys="-,two,three"))
    assert [one.key.get_secret_value() for one in plan.llms] == ["", "two", "three"]
    spoken = [FORMATS[one.format].open(one.url) for one in plan.llms]
    assert isinstance(spoken[1], Anthropic)
    names = [
        one.body(Prompt("", ()), "m", max_tokens=1, temperature=None, stream=False)
        for one in (spoken[0], spoken[2])
    ]
    assert ["max_tokens" in body for body in names] == [True, False]
    assert isinstance(spoken[0], OpenAI)


def test_without_keys_none_is_sent() -> None:
    (one,) = plan_of(load({}, llm="http://a/v1#m")).llms
    assert OpenAI(newest=False).headers(one.key.get_secret_value()) == {}


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
    monkeypatch.setitem(sys.modules, "app.answer.otel", None)
    with pytest.raises(LoadFailed, match=r"pip install 'rerankd\[otel\]'"):
        open_tracer(load({}, traces=True))
