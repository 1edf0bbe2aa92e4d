"""Speaks to the identity providers of platforms' people over HTTPS: documents, and a code for a token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from integrations.jwks_http import HttpJwks, bounded, check_address
from service.ports import Unavailable

# Somebody waits for the page after their sign-in; providers answer in well under a second.
_DEADLINE_SECONDS: Final = 8.0


class HttpIdentityWeb:
    """`IdentityWeb` over a client of the caller's. No redirect is followed: where a secret goes is for the provider's document to say."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._documents = HttpJwks(client)

    async def fetch(self, url: str) -> bytes:
        return await self._documents.fetch(url)

    async def ask(self, url: str, token: str) -> bytes:
        status, body = await self._send("GET", url, headers={"Authorization": f"Bearer {token}"})
        if status != 200:
            raise Unavailable(f"the identity provider answers with status {status}")
        return body

    async def redeem(self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None) -> tuple[int, bytes]:
        return await self._send("POST", url, form=form, basic=basic)

    async def _send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        basic: tuple[str, str] | None = None,
    ) -> tuple[int, bytes]:
        check_address(url)
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        auth = None if basic is None else httpx.BasicAuth(*basic)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                request = self._client.build_request(method, url, headers=sent, data=form, timeout=_DEADLINE_SECONDS)
                response = await self._client.send(request, auth=auth, stream=True, follow_redirects=False)
                try:
                    if response.status_code >= 500:
                        raise Unavailable(f"the identity provider answers with status {response.status_code}")
                    return response.status_code, await bounded(response)
                finally:
                    await response.aclose()
        except httpx.HTTPError as failure:
            raise Unavailable(f"the identity provider was not reached: {type(failure).__name__}") from None
        except TimeoutError:
            raise Unavailable(f"the identity provider did not answer within {_DEADLINE_SECONDS:g} s") from None
