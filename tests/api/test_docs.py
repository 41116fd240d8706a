from __future__ import annotations

import hashlib
import re

import pytest
from httpx import AsyncClient

from app.api import docs
from tests.desk import Desk

pytestmark = pytest.mark.anyio

# Of swagger-ui-dist 5.35.0; app/api/swagger/README.md says how to replace it.
DIGESTS = {
    "LICENSE": "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30",
    "NOTICE": "0d20d1adef18aee3f40dd258172155521ce702ac445cb5f7b7d60ed32dad2fb2",
    "swagger-ui-bundle.js": "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
    "swagger-ui-bundle.js.LICENSE.txt": (
        "37eb6e7e59aed57b2c1acf076574b818ea07b74265717e0bd67b59e0baf9abbb"
    ),
    "swagger-ui.css": "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
}


@pytest.mark.parametrize("name", list(DIGESTS))
def test_the_page_s_files_are_those_of_its_makers_with_their_licences(name: str) -> None:
    assert hashlib.sha256((docs.FOLDER / name).read_bytes()).hexdigest() == DIGESTS[name]


def test_nothing_else_is_in_the_folder() -> None:
    assert {file.name for file in docs.FOLDER.iterdir()} == {*DIGESTS, "README.md"}


async def test_everything_that_the_page_loads_is_served_here(client: AsyncClient) -> None:
    page = await client.get("/docs")
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    local = [address for address in addresses if address != "data:,"]
    assert len(local) == 3
    for address in local:
        assert "//" not in address
        loaded = await client.get(f"/{address}")
        assert loaded.status_code == 200
        assert loaded.headers["Content-Type"].startswith(("text/javascript", "text/css"))
    assert 'url: "openapi.json"' in (await client.get("/docs/start.js")).text


async def test_the_page_may_load_and_run_nothing_from_elsewhere(client: AsyncClient) -> None:
    policy = (await client.get("/docs")).headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert "http" not in policy
    assert "validatorUrl: null" in docs.START_SCRIPT  # it would be asked on the internet


async def test_nothing_on_the_page_names_another_host(client: AsyncClient) -> None:
    page, style = await client.get("/docs"), await client.get("/docs/swagger-ui.css")
    assert not re.search(r"//\w", page.text + docs.START_SCRIPT)
    assert "@import" not in style.text
    assert all(
        address.startswith("data:") for address in re.findall(r"url\([\"']?([^)]*)", style.text)
    )


@pytest.mark.parametrize("name", ["README.md", "..%2Fauth.py", "nothing.js"])
async def test_only_the_page_s_own_files_are_served(client: AsyncClient, name: str) -> None:
    refused = await client.get(f"/docs/{name}")
    assert (refused.status_code, refused.json()["type"]) == (404, "not_found")


async def test_page_and_schema_can_be_switched_off(desk: Desk) -> None:
    async with desk.open(docs=False) as client:
        for path in ("/docs", "/docs/swagger-ui.css", "/openapi.json", "/redoc"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/healthz")).status_code == 200


async def test_there_is_no_second_page_that_loads_scripts(client: AsyncClient) -> None:
    for path in ("/redoc", "/docs/oauth2-redirect"):
        assert (await client.get(path)).status_code == 404
