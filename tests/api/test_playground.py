from __future__ import annotations

import re

import pytest
from httpx import AsyncClient

from app.api import playground
from tests.desk import Desk

pytestmark = pytest.mark.anyio

MAX_BYTES = 300_000
MAX_LINES = 350


async def test_the_page_and_all_that_it_loads_are_served_here(client: AsyncClient) -> None:
    page = await client.get("/ui")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    addresses = re.findall(r'(?:src|href)="(ui/[^"]+)"', page.text)
    files = playground.read_files(playground.FOLDER)
    assert set(addresses) == {f"ui/{name}" for name in files if name != playground.PAGE}
    for address in addresses:
        assert (await client.get(f"/{address}")).status_code == 200


async def test_each_module_imports_only_modules_that_are_served() -> None:
    files = playground.read_files(playground.FOLDER)
    imported = {
        name
        for file in files.values()
        for name in re.findall(r'from "\./([\w.-]+)"', file.body.decode())
    }
    modules = {name for name in files if name.endswith(".js")}
    assert imported == modules - {"main.js"}


async def test_the_page_weighs_little() -> None:
    files = playground.read_files(playground.FOLDER)
    assert sum(len(file.body) for file in files.values()) <= MAX_BYTES


async def test_no_file_of_the_page_is_long() -> None:
    for name, file in playground.read_files(playground.FOLDER).items():
        assert len(file.body.decode().splitlines()) <= MAX_LINES, name


async def test_the_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(
    client: AsyncClient,
) -> None:
    page = await client.get("/ui")
    rules = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["trusted-types"] == "'none'"
    assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert rules["require-trusted-types-for"] == "'script'"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert not re.search(r"<script(?! type=\"module\" src=)|<style| style=| on\w+=", page.text)


async def test_no_file_names_another_host(client: AsyncClient) -> None:
    """But for the namespace of SVG, which is a name, and examples of curl, which are texts."""
    for name, file in playground.read_files(playground.FOLDER).items():
        hosts = set(re.findall(r"https?://([\w.]+)", file.body.decode()))
        assert hosts <= {"www.w3.org", "api.cohere.com"}, name


async def test_no_file_can_turn_text_into_markup() -> None:
    for name, file in playground.read_files(playground.FOLDER).items():
        sinks = re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|DOMParser|Storage\b",
            file.body.decode().replace("`innerHTML`", ""),
        )
        assert sinks == [], name


async def test_a_file_that_the_browser_has_is_not_sent_again(client: AsyncClient) -> None:
    first = await client.get("/ui/main.js")
    again = await client.get("/ui/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["Cache-Control"] == "no-cache"


async def test_the_address_with_a_slash_is_the_page_too(client: AsyncClient) -> None:
    """Without a redirect: the service never sends a caller elsewhere."""
    page, below = await client.get("/ui"), await client.get("/ui/")
    assert below.text.replace('="', '="ui/').count("ui/main.js") == 1
    loaded = re.findall(r'(?:src|href)="([^"#.]+\.\w+)"', below.text)
    assert {f"ui/{name}" for name in loaded} == set(re.findall(r'"(ui/[^"]+)"', page.text))


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fcli.py", "__init__.py"])
async def test_only_the_page_s_own_files_are_served(client: AsyncClient, name: str) -> None:
    assert (await client.get(f"/ui/{name}")).status_code == 404


async def test_the_page_needs_no_key_but_its_calls_do(desk: Desk) -> None:
    async with desk.open(api_keys=("secret",)) as client:
        assert (await client.get("/ui")).status_code == 200
        assert (await client.get("/ui/main.js")).status_code == 200
        assert (await client.get("/info")).status_code == 401


async def test_the_page_is_for_the_allowed_hosts_only(desk: Desk) -> None:
    async with desk.open(allowed_hosts=("rerank.example.org",)) as client:
        assert (await client.get("/ui")).status_code == 421
        named = {"Host": "rerank.example.org"}
        assert (await client.get("/ui", headers=named)).status_code == 200


async def test_the_page_can_be_switched_off(desk: Desk) -> None:
    async with desk.open(ui=False) as client:
        for path in ("/ui", "/ui/", "/ui/main.js"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/docs")).status_code == 200
