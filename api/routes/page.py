"""The web pages to try the service: files of this package, sent as they are."""

import hashlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

SCRIPTS = ("app.js", "lists.js", "search.js", "shared.js")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/lists": ("lists.html", "text/html; charset=utf-8"),
    **{f"/web/{name}": (name, "text/javascript; charset=utf-8") for name in SCRIPTS},
    "/web/style.css": ("style.css", "text/css; charset=utf-8"),
    "/web/icon.svg": ("icon.svg", "image/svg+xml"),
}


def _sender(name: str, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """A handler for one file. Browsers keep it and ask each time whether it is still the same."""
    content = (files("api") / "web" / name).read_bytes()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}

    async def send(request: Request) -> Response:
        if etag in request.headers.get("If-None-Match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return send


for path, (name, media_type) in FILES.items():
    router.add_api_route(path, _sender(name, media_type), methods=["GET", "HEAD"], name=f"page {name}")
