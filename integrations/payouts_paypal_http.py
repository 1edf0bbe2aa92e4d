"""How PayPal is reached: one connection pool, a token that is kept until it nearly expires, bounded answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from time import monotonic
from typing import Final, Literal

import httpx
import msgspec

from integrations.http_errors import NEVER_SENT
from integrations.payouts_paypal_errors import Trouble, trouble_of
from service.ports import Unavailable

# Connecting is a few round trips; whoever needs longer would not answer in ten seconds either, and nothing was sent yet.
_CONNECT_SECONDS_MAX: Final = 3.0
# One connection for each of the pay-outs that our pace allows in two seconds; notifications share them.
_CONNECTIONS_MAX: Final = 16
# A page of a hundred events with their resources; a batch of one item has two kilobytes.
_BODY_BYTES_MAX: Final = 2 * 1024 * 1024
# A token that ends while a request is on its way would be refused; no request takes longer than this.
_TOKEN_SECONDS_LEFT_MIN: Final = 60.0
# PayPal's last for nine hours; whatever an answer says, a revoked one is not kept for longer than a day.
_TOKEN_SECONDS_MAX: Final = 86_400.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Failed(Exception):  # noqa: N818 - carries a Trouble, which the error table judges
    """The call itself gave no success; what that means depends on what was asked."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


class _Token(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float


class PayPalHttp:
    """One REST app of PayPal's. `clock` counts seconds; `call_seconds_max` is for a whole call, a fresh token included."""

    def __init__(
        self, client_id: str, client_secret: str, *, base_url: str, call_seconds_max: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._base_url = _checked(base_url)
        self._login = httpx.BasicAuth(client_id, client_secret)
        self._call_seconds_max = call_seconds_max
        self._clock = clock
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(call_seconds_max, connect=min(_CONNECT_SECONDS_MAX, call_seconds_max)),
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX),
            follow_redirects=False,  # the order to pay goes where the settings say, or nowhere
        )
        self._token: tuple[str, float] = ("", 0.0)
        self._token_lock = asyncio.Lock()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def call(
        self, method: Literal["GET", "POST"], path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of a success. Raises Unavailable while there is no token, so before anything was sent; Failed after that.

        A 401 is answered before a request is looked at: the token may have been revoked early, so one fresh one is tried.
        """
        until = asyncio.get_running_loop().time() + self._call_seconds_max
        token = await self._fresh_token(until, refused="")
        answer = await self._send(method, path, until, body, {**(headers or {}), "Authorization": f"Bearer {token}"})
        if answer.status == 401:
            token = await self._fresh_token(until, refused=token)
            answer = await self._send(method, path, until, body, {**(headers or {}), "Authorization": f"Bearer {token}"})
        if not 200 <= answer.status < 300:
            raise Failed(trouble_of(answer.status, answer.headers, answer.body))
        return answer.body

    async def login(self) -> None:
        """Proves address and credentials. Raises Unavailable."""
        await self._fresh_token(asyncio.get_running_loop().time() + self._call_seconds_max, refused="")

    async def _fresh_token(self, until: float, *, refused: str) -> str:
        """The kept token, or a new one in place of an old or a `refused` one; whoever waits for the lock shares it."""
        try:
            async with asyncio.timeout_at(until), self._token_lock:
                token, usable_until = self._token
                if token and token != refused and self._clock() < usable_until:
                    return token
                self._token = await self._new_token(until)
                return self._token[0]
        except TimeoutError:
            raise Unavailable("PayPal gave no token in time") from None

    async def _new_token(self, until: float) -> tuple[str, float]:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await self._send("POST", "/v1/oauth2/token", until, b"grant_type=client_credentials", headers, auth=self._login)
            if answer.status != 200:
                raise _no_token(trouble_of(answer.status, answer.headers, answer.body))
            token = msgspec.json.decode(answer.body, type=_Token)
        except Failed as failed:
            raise _no_token(failed.trouble) from None
        except ValueError:
            raise Unavailable("PayPal's answer to the sign-in cannot be read") from None
        lasts = min(token.expires_in, _TOKEN_SECONDS_MAX) - _TOKEN_SECONDS_LEFT_MIN
        return token.access_token, self._clock() + lasts

    async def _send(
        self, method: str, path: str, until: float, body: bytes | None, headers: Mapping[str, str], *, auth: httpx.Auth | None = None
    ) -> Answer:
        """Send once. Raises Failed when no whole answer came in time."""
        said = {"Accept": "application/json", "Accept-Encoding": "identity", "Content-Type": "application/json", **headers}
        request = self._client.build_request(method, self._base_url + path, content=body, headers=said)
        try:
            async with asyncio.timeout_at(until):
                response = await self._client.send(request, stream=True, auth=auth)
                try:
                    return Answer(status=response.status_code, headers=dict(response.headers), body=await _bounded(response))
                finally:
                    await response.aclose()
        except (httpx.HTTPError, TimeoutError) as error:
            raise Failed(Trouble(cause=error)) from None


async def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise httpx.ReadError(f"an answer longer than {_BODY_BYTES_MAX} bytes")
    return bytes(body)


def _no_token(trouble: Trouble) -> Unavailable:
    """Nothing was asked for yet, so nothing happened. PayPal says `invalid_client` with a 401, OAuth (RFC 6749, 5.2) allows 400."""
    if trouble.theirs and trouble.status in {400, 401, 403}:
        return Unavailable(f"PayPal refuses the credentials: {trouble.detail}", configuration=True)
    return Unavailable(
        f"PayPal gave no token: {trouble.detail}",
        never_sent=isinstance(trouble.cause, NEVER_SENT),
        retry_after_seconds=trouble.retry_after_seconds,
    )


def _checked(base_url: str) -> str:
    """HTTPS, or HTTP to this very machine (tests): the secret goes there. Raises ValueError."""
    url = httpx.URL(base_url)
    if not url.host or url.query or not (url.scheme == "https" or (url.scheme == "http" and _is_this_machine(url.host))):
        raise ValueError("the base address of PayPal has to start with https://")
    return base_url.rstrip("/")


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
