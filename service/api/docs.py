"""The contract as a document and as a page to browse, with every script served by us: nothing is loaded from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final

from litestar import Controller, Litestar, Request, Response, get
from litestar.params import FromPath

from service.api import contract, problems
from service.api.auth import open_to_anyone

# Nothing from elsewhere, nothing inline, no frame: the page shows our own contract and calls our own routes. (The pictures that
# Swagger UI's style sheet carries are data: addresses.)
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

# The files belong to an installed version; a day saves the megabyte on every visit and an upgrade shows the next morning.
_ASSETS_KEPT: Final = "public, max-age=86400"

_ASSETS: Final[Mapping[str, str]] = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}

_PAGE: Final = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Makegood: the contract</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="contract"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

# `validatorUrl: null`: Swagger UI would otherwise show a badge from a server of its makers.
_START: Final = b"""SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#contract", deepLinking: true, validatorUrl: null, tryItOutEnabled: false, persistAuthorization: false,
});
"""


class Docs(Controller):
    """Not part of the contract itself."""

    include_in_schema = False
    opt = open_to_anyone("documentation")

    @get("/openapi.json", sync_to_thread=False)
    def document(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        return Response(
            _document(request.app),
            media_type="application/vnd.oai.openapi+json",
            headers={"Cache-Control": "no-cache"},
        )

    @get("/docs", sync_to_thread=False)
    def page(self) -> Response[bytes]:
        return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})

    @get("/docs/start.js", sync_to_thread=False)
    def start(self) -> Response[bytes]:
        return Response(_START, media_type="text/javascript", headers={"Cache-Control": _ASSETS_KEPT})

    @get("/docs/{name:str}", sync_to_thread=False)
    def asset(self, name: FromPath[str]) -> Response[bytes]:
        media_type = _ASSETS.get(name)
        if media_type is None:
            raise problems.not_found("page")
        (folder,) = files("swagger_ui_bundle").joinpath("vendor").iterdir()
        content = folder.joinpath(name).read_bytes()
        return Response(content, media_type=media_type, headers={"Cache-Control": _ASSETS_KEPT})


def _document(app: Litestar) -> bytes:
    """Made on first use and kept with the application: its routes do not change while it runs."""
    if "contract" not in app.state:
        app.state.contract = contract.render(contract.contract(app))
    kept: bytes = app.state.contract
    return kept
