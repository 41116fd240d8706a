from __future__ import annotations

import pytest
from pydantic import ValidationError

from app.settings import Settings, UnknownSetting, is_remote, load


def test_a_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_PORT", "9000")
    assert load({"RERANKD_PORT": "9000"}).port == 9000


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_PORT", "9000")
    assert load({}, port="9001").port == 9001


def test_a_misspelt_setting_is_refused_and_the_nearest_suggested() -> None:
    with pytest.raises(UnknownSetting, match="RERANKD_MAX_DOCUMENT; did you mean RERANKD_MAX_DOC"):
        load({"RERANKD_MAX_DOCUMENT": "10"})


def test_variables_of_others_are_left_alone() -> None:
    assert load({"PATH": "/bin", "RERANK_PORT": "1"}) == Settings()


def test_lists_are_separated_by_commas() -> None:
    settings = Settings(api_keys="one, two,", cors_origins="https://a.example")
    assert [key.get_secret_value() for key in settings.api_keys] == ["one", "two"]
    assert settings.cors_origins == ("https://a.example",)


@pytest.mark.parametrize("name", ["api_keys", "metrics_key"])
@pytest.mark.parametrize("value", ["", " ", " , ", ",,", "\t"])
def test_a_key_that_is_set_and_empty_is_refused_and_does_not_open_the_service(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"RERANKD_{name.upper()}", value)
    with pytest.raises(ValidationError, match="it is set but contains no key"):
        load({})


def test_without_any_key_set_there_is_none() -> None:
    settings = load({})
    assert (settings.api_keys, settings.metrics_key) == ((), None)


def test_keys_are_not_shown() -> None:
    assert "hunter2" not in repr(Settings(api_keys="hunter2"))


@pytest.mark.parametrize("name", ["max_documents", "max_length"])
def test_what_could_never_be_admitted_is_refused_at_start(name: str) -> None:
    with pytest.raises(ValidationError, match=rf"{name} \(100\) exceeds max_queue_tokens \(50\)"):
        load({}, **{"max_queue_tokens": 50, "max_documents": 10, name: 100})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fallback": "BAAI/bge-reranker-v2-m3"}, "neither cohere:MODEL, jina:MODEL, voyage:MODEL"),
        ({"fallback": "cohere:"}, "fallback cohere: is neither"),
        ({"model": "other:m"}, "model other:m is neither .*, cohere:MODEL, jina:MODEL, voyage:M"),
        ({"model": "cohere:"}, "model cohere: is neither a folder, a model hub name"),
        ({"model": "cohere:m", "fallback": "jina:m"}, "fallback needs a local model"),
        ({"model": "cohere:m"}, "upstream_api_key is needed for cohere:m"),
        ({"fallback": "voyage:m"}, "upstream_api_key is needed for voyage:m"),
        ({"upstream_url": "http://proxy"}, "upstream_url works only with"),
        ({"model": "http://[there"}, r"http://\[there contains no host or a wrong port"),
        ({"model": "http://there:99999"}, "http://there:99999 contains no host or a wrong port"),
        ({"model": "jina:m", "upstream_api_key": "a\nb"}, "characters that an HTTP header cannot"),
        ({"upstream_url": "proxy"}, "String should match pattern"),
        ({"model": "http://there", "calibration": "c.json"}, "calibration needs a local model"),
    ],
)
def test_another_service_is_named_without_contradiction(
    settings: dict[str, str], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        load({}, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "http://10.0.0.1:8000/prefix"},
        {"fallback": "https://there"},
        {"model": "cohere:rerank-v3.5", "upstream_api_key": "k"},
        {"model": "jina:m", "upstream_url": "http://proxy"},
    ],
)
def test_another_service_is_named_in_one_word(settings: dict[str, str]) -> None:
    loaded = load({}, **settings)
    assert is_remote(loaded.model) != is_remote(loaded.fallback)


def test_the_key_of_another_service_loses_its_line_end_and_is_not_shown() -> None:
    settings = load({}, model="cohere:m", upstream_api_key="hunter2\n")
    assert settings.upstream_api_key is not None
    assert settings.upstream_api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(settings)


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(Settings(), "port", 1)  # noqa: B010 (what a type checker would refuse)


def test_a_language_model_is_a_url_and_a_name() -> None:
    settings = Settings(llm="http://localhost:8080/v1#m, anthropic:https://a.example/v1#claude:1")
    assert settings.named_llms == [
        ("openai", "http://localhost:8080/v1", "m"),
        ("anthropic", "https://a.example/v1", "claude:1"),
    ]


@pytest.mark.parametrize(
    "llm",
    ["gpt", "http://localhost/v1", "ftp://a#m", "http://user:hunter2@a/v1#m"],
)
def test_what_is_no_url_of_a_language_model_is_refused_and_not_shown(llm: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(llm=f"http://a#m,{llm}")
    (error,) = caught.value.errors()
    assert "llm: number 2 is not a URL and a model" in error["msg"]
    assert "hunter2" not in error["msg"]


def test_an_unknown_format_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(ValidationError, match="number 2 has no known format; known: openai, anth"):
        Settings(llm="http://a#m,cohere:http://a#m")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"llm": "http://a#m,http://b#m", "llm_keys": "one"},
            "llm_keys holds 1 keys, but llm names 2 language models",
        ),
        ({"llm_max_tokens": 9000}, "leaves no room for a prompt"),
        ({"llm_daily_tokens": 10}, "llm_daily_tokens needs llm_budget_file"),
        ({"llm_listwise": True}, "llm_listwise needs llm"),
        ({"trace_content": True}, "trace_content needs traces"),
    ],
)
def test_settings_of_answers_that_do_not_go_together_are_refused(
    settings: dict[str, object], says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        load({}, **settings)


def test_a_temperature_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RERANKD_LLM_TEMPERATURE", "")
    assert load({}).llm_temperature is None


def test_a_body_of_the_largest_size_must_fit_among_those_in_progress() -> None:
    with pytest.raises(ValidationError, match="could never accept such a"):
        load({}, max_body_bytes=2**20 + 1, max_inflight_mb=1)
    assert load({}, max_body_bytes=2**20, max_inflight_mb=1).max_inflight_mb == 1


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({}, 50_000),
        ({"max_documents": 10}, 50_000),
        ({"max_documents": 5_000}, 250_000),
        ({"max_documents": 5_000, "max_json_values": 7}, 7),
    ],
)
def test_values_follow_from_documents_unless_they_are_set(
    settings: dict[str, int], values: int
) -> None:
    assert load({}, **settings).json_values == values
