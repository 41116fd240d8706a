"""`/docs`: shows the schema as a page. It may load only the scripts of this package."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, HTMLResponse, Response
from starlette.exceptions import HTTPException

FOLDER = Path(__file__).parent / "swagger"
MEDIA_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
START = "start.js"
# Addresses are relative, so that the page works behind a proxy that adds a prefix.
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>rerankd</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/{START}"></script>
</body>
</html>
"""
# Without a validator, because it would send the address of the schema to an external service.
START_SCRIPT = """SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, validatorUrl: null,
});
"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def page() -> Response:
    return HTMLResponse(PAGE, headers=HEADERS)


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    if name == START:
        return Response(START_SCRIPT, media_type="text/javascript", headers=HEADERS)
    if name not in MEDIA_TYPES:
        raise HTTPException(404)
    return FileResponse(FOLDER / name, media_type=MEDIA_TYPES[name], headers=HEADERS)
