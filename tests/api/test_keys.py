from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from app.api.auth import BadKeys, read_key, read_keys
from tests.desk import Desk

pytestmark = pytest.mark.anyio

BODY = {"query": "q", "documents": ["a", "b"]}


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer two"}, {"X-API-Key": "one"}, {"authorization": "bearer one"}],
)
async def test_any_of_the_keys_opens_the_door(desk: Desk, headers: dict[str, str]) -> None:
    async with desk.open(api_keys="one,two") as client:
        assert (await client.post("/rerank", json=BODY, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer three"}, {"Authorization": "Basic one"}, {"X-API-Key": "é"}],
)
async def test_without_a_known_key_nothing_is_read(desk: Desk, headers: dict[str, str]) -> None:
    async with desk.open(api_keys="one,two") as client:
        response = await client.post(
            "/rerank",
            content=b"not json",
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        )
        assert (response.status_code, response.json()["type"]) == (401, "unauthorized")
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert (await client.get("/info", headers={})).status_code == 401


async def test_health_and_metrics_need_no_key(desk: Desk) -> None:
    async with desk.open(api_keys="one") as client:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await client.get(path)).status_code == 200


def test_keys_are_read_from_a_file_with_comments(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# of the search team\none\n\ntwo\n")
    assert read_keys((), file) == (b"one", b"two")


@pytest.mark.parametrize("key", ["é", "schlüssel", "a\x7f", "a\tb", "\u200b"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_place_and_not_shown(
    tmp_path: Path, key: str
) -> None:
    with pytest.raises(BadKeys, match=r"^api_keys: key 2 holds characters") as refused:
        read_keys([SecretStr("one"), SecretStr(key)], None)
    assert key not in str(refused.value)
    file = tmp_path / "keys"
    file.write_text(f"# comment\none\n{key}\n", encoding="utf-8")
    with pytest.raises(BadKeys, match="keys: line 3 holds characters"):
        read_keys((), file)
    with pytest.raises(BadKeys, match=r"^metrics_key: the key holds characters"):
        read_key(SecretStr(key), "metrics_key")


@pytest.mark.parametrize("content", [None, "# nobody\n"])
def test_a_key_file_that_holds_no_key_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadKeys):
        read_keys((), file)
