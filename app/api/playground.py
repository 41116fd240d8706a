"""`/ui`: the playground. Its files are part of this package and need no build: `app/ui`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parents[1] / "ui"
PAGE = "index.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# No text becomes markup: without a policy of that name, scripts cannot even assign `innerHTML`.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    body: bytes
    media_type: str
    etag: str


def read_files(folder: Path) -> Mapping[str, StaticFile]:
    return {
        path.name: StaticFile(body, MEDIA_TYPES[path.suffix], f'"{digest(body)}"')
        for path in sorted(folder.iterdir())
        if path.suffix in MEDIA_TYPES
        for body in [path.read_bytes()]
    }


def digest(body: bytes) -> str:
    return blake2b(body, digest_size=12).hexdigest()


def one_level_below(page: StaticFile) -> StaticFile:
    """The page for `/ui/`: its addresses are relative, for proxies that add a prefix."""
    body = page.body.replace(b'="ui/', b'="').replace(b'href="docs"', b'href="../docs"')
    return StaticFile(body, page.media_type, f'"{digest(body)}"')


def make_router() -> APIRouter:
    files = read_files(FOLDER)
    below = one_level_below(files[PAGE])
    router = APIRouter(include_in_schema=False)

    @router.get("/ui")
    async def page(request: Request) -> Response:
        return respond(request, files[PAGE])

    @router.get("/ui/")
    async def page_below(request: Request) -> Response:
        return respond(request, below)

    @router.get("/ui/{name}")
    async def file(request: Request, name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return respond(request, files[name])

    return router


def respond(request: Request, file: StaticFile) -> Response:
    headers = HEADERS | {"ETag": file.etag}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
