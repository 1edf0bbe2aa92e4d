"""The help page, for letters' links and apps' web views: the widget on a page of its own, which only the platform's pages may frame."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.api.auth import open_to_anyone
from service.api.widget import WidgetFiles
from service.letters.words import choose_language
from service.model import WireId, unwire
from service.platforms import Platform, Platforms, is_origin
from service.store.readiness import UNREACHABLE
from service.texts import TEXTS
from service.widget_build import Build

# For the one page of our own; the widget brings its look itself.
_STYLE: Final = (
    ":root{color-scheme:light dark}body{margin:0}"
    "main{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:0 auto;padding:2rem 1rem;overflow-wrap:anywhere}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
# `blob:` is a picture of the conversation. No script writes markup: trusted types hold it to that.
_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'sha256-{_STYLE_HASH}'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'; frame-ancestors {ancestors}"
)
_HEADERS: Final[Mapping[str, str]] = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "X-Robots-Tag": "noindex, nofollow",
    # Asked again on each visit: after an upgrade it names another script.
    "Cache-Control": "no-cache",
    "Vary": "Accept-Language",
}
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
# A browser names a handful.
_LANGUAGES_READ_MAX: Final = 10


# What is said where there is no help page.
_WORDS: Final = TEXTS.every("help_page")
_RIGHT_TO_LEFT: Final = frozenset({"ar"})


# What the built page has for us to fill in, all at once: what is filled in is not looked at again.
_PLACE: Final = re.compile(r"\{\{([a-z]{1,20})\}\}")


class HelpPages(Controller):
    """Not part of the contract: pages for people. They set no cookie and know nobody."""

    include_in_schema = False
    opt = open_to_anyone("a page, which shows nothing of anybody before they have proven who they are")

    @get("/help")
    async def help_of_the_only_platform(
        self, request: Request[Any, Any, Any], platforms: NamedDependency[Platforms], widget_files: NamedDependency[WidgetFiles]
    ) -> Response[str]:
        """Where there are several, nobody can know whose customer this is."""
        try:
            only = await platforms.only()
        except UNREACHABLE:
            return _not_found(request, status=503)
        return _not_found(request) if only is None else _page(request, only.slug, only, widget_files.build())

    @get("/help/{platform:str}")
    async def help_of_a_platform(
        self,
        platform: FromPath[str],
        request: Request[Any, Any, Any],
        platforms: NamedDependency[Platforms],
        widget_files: NamedDependency[WidgetFiles],
    ) -> Response[str]:
        return await _help(request, platforms, platform, widget_files.build())

    @get("/help/{platform:str}/{case:str}")
    async def help_with_a_case(
        self,
        platform: FromPath[str],
        case: FromPath[str],
        request: Request[Any, Any, Any],
        platforms: NamedDependency[Platforms],
        widget_files: NamedDependency[WidgetFiles],
    ) -> Response[str]:
        """Where a letter's link leads. Whether there is such a case is told to whoever proves that it is theirs."""
        if unwire(WireId.CASE, case) is None:
            return _not_found(request)
        return await _help(request, platforms, platform, widget_files.build())


async def _help(request: Request[Any, Any, Any], platforms: Platforms, slug: str, build: Build | None) -> Response[str]:
    try:
        found = await platforms.by_slug(slug)
    except UNREACHABLE:
        return _page(request, slug, None, build)
    return _not_found(request) if found is None else _page(request, slug, found, build)


def _page(request: Request[Any, Any, Any], slug: str, platform: Platform | None, build: Build | None) -> Response[str]:
    """Without a platform: the database is away, and the widget says whom to reach, from what it remembers."""
    if build is None:
        return _not_found(request)
    settings = platform.settings if platform is not None else None
    origins = [one for one in settings.origins if is_origin(one)] if settings is not None else []
    contacts = settings.contacts if settings is not None else None
    reach = (contacts.support, contacts.email, contacts.phone, contacts.url) if contacts is not None else ()
    line = " · ".join(dict.fromkeys(one for one in reach if one))
    told = {
        "lang": _language(request, settings.languages if settings is not None else tuple(_WORDS)),
        "platform": slug,
        "origins": " ".join(origins),
        "name": settings.name if settings is not None else "Makegood",
        "support": f": {line}" if line else "",
    }
    page = _PLACE.sub(lambda place: escape(told.get(place[1], "")), build.page)
    return _answer(page, origins, status=200 if platform is not None else 503)


def _not_found(request: Request[Any, Any, Any], *, status: int = 404) -> Response[str]:
    language = _language(request, tuple(_WORDS))
    words, direction = _WORDS[language], "rtl" if language in _RIGHT_TO_LEFT else "ltr"
    page = (
        f'<!doctype html>\n<html lang="{language}" dir="{direction}"><head><meta charset="utf-8"><title>{words["no_page"]}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><main><h1>{words['no_page']}</h1><p>{words['use_link']}</p></main></body></html>\n"
    )
    return _answer(page, [], status=status)


def _answer(page: str, origins: Sequence[str], *, status: int) -> Response[str]:
    policy = _POLICY.format(ancestors=" ".join(["'self'", *origins]))
    return Response(page, status_code=status, media_type="text/html", headers={**_HEADERS, "Content-Security-Policy": policy})


def _language(request: Request[Any, Any, Any], offered: Sequence[str]) -> str:
    """The first that the reader wants and the platform offers."""
    named = [request.query_params.get("lang", "")]
    named += [one.partition(";")[0].strip() for one in request.headers.get("accept-language", "").split(",")[:_LANGUAGES_READ_MAX]]
    bases = {one.partition("-")[0].lower() for one in offered} & set(_WORDS)
    fits = next((one for one in named if _LANGUAGE.fullmatch(one) and one.partition("-")[0].lower() in bases), "")
    return choose_language(fits, offered, _WORDS)
