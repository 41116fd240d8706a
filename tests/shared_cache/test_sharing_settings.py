"""RERANKD_SHARED: what is no address of a Redis is refused, and its password never shown."""

from __future__ import annotations

import sys

import pytest
from pydantic import ValidationError

from app.compose.app import create_app
from app.errors import LoadFailed, PackageMissing
from app.settings import Settings, load


def fatal(error: LoadFailed) -> None:
    raise error


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "redis://localhost:6379/2",
        "redis://:hunter2@[::1]:6379",
        "rediss://user:hunter2@redis.example:6380/0?ssl_ca_certs=/etc/ca.pem",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_an_address_of_a_redis_is_accepted_and_not_shown(url: str) -> None:
    settings = load({}, shared=url)
    assert settings.shared is not None
    assert settings.shared.get_secret_value() == url
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://:hunter2@redis:6379", "the URL is not like redis://HOST:PORT/DB"),
        ("redis:6379", "names no server"),
        ("redis://", "names no server"),
        ("redis://:hunter2@:6379", "names no server"),
        ("redis://redis:99999/hunter2", "it is not a URL such as redis://"),
        ("redis://redis:0", "names no server"),
        ("redis://[redis", "it is not a URL such as redis://"),
        ("redis://redis:6379/hunter2", "the path of the URL is not the number of a database"),
        ("redis://redis#hunter2", "names no server"),
        ("redis://redis?password=hunter2", "unknown option password; known: none"),
        ("redis://redis?ssl_ca_certs=a", "unknown option ssl_ca_certs; known: none"),
        ("rediss://redis?ssl_cert_reqs=none", "unknown option ssl_cert_reqs; known: ssl_ca_certs"),
        ("unix://redis/run/redis.sock", "names no server"),
        ("unix://", "names no server"),
    ],
)
def test_what_is_no_address_is_refused_with_the_field_and_without_the_password(
    url: str, says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        load({}, shared=url)
    (error,) = caught.value.errors()
    assert (error["loc"], says in error["msg"]) == (("shared",), True)
    assert "hunter2" not in error["msg"]


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.setenv("RERANKD_SHARED", empty)
    assert load({}) == Settings()


def test_another_service_has_no_scores_to_share() -> None:
    with pytest.raises(ValidationError, match="shared needs a local model"):
        load({}, model="http://there", shared="redis://localhost")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "nan"])
def test_the_limit_of_a_read_is_more_than_nothing_and_at_most_a_second(limit: str) -> None:
    with pytest.raises(ValidationError, match="shared_timeout_ms"):
        load({}, shared_timeout_ms=limit)


def test_without_the_package_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "app.shared_cache.redis_client", raising=False)
    with pytest.raises(PackageMissing, match=r"pip install 'rerankd\[redis\]'"):
        create_app(load({}, shared="redis://localhost"), fatal)
