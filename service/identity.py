"""Proofs, levels, sessions and one-time codes: who a customer is, how sure we are, until when, and which orders that opens."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID, uuid5

import msgspec

from service import sealed_code
from service.addresses import provable
from service.callers import Caller, TextProof
from service.limits import Asks, Limits, bucket, code_buckets, text_buckets
from service.model import IdentityLevel, new_id
from service.platforms import Platform, Platforms
from service.ports_tokens import TokenClaims
from service.proofs import Verifier
from service.sealed_code import CodeInside
from service.sealing import Vault
from service.signed_claims import BadProof
from service.store.identity import Channel, IdentityStore, Limit, NewCode, OpenOrder

# 256 random bits: nothing to guess, so a plain SHA-256 is enough to keep.
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"mgs_[A-Za-z0-9_-]{43}", re.ASCII)

# A long evening with a show, and the morning after on which the mail is read.
SESSION_SECONDS: Final = 24 * 3600

# Six digits and five tries: one guess in 200,000 succeeds, in 100,000 while a mail and a text are both on their way. Ten minutes: mail is
# slow on busy evenings, and phones ring.
CODE_SECONDS: Final = 10 * 60
CODE_DIGITS: Final = 6

# The levels' lives (the table of identity in the README's map): long enough to finish what one came for.
VERIFIED_SECONDS: Final = 30 * 60
STRONG_SECONDS: Final = 10 * 60


class TooMany(Exception):  # noqa: N818 - reads as the refusal it is
    """A limit is used up. Says when to come back, and nothing about what was asked for."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("too many")
        self.retry_after_seconds = retry_after_seconds


class NoTexts(Exception):  # noqa: N818 - says what there is not
    """Nobody here sends texts: no texter is configured."""


class CodeRefused(Exception):  # noqa: N818 - reads as the refusal it is
    """The digits are wrong, used, too old or there never was a code: these read the same."""


class OpenedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A new session. `token` exists nowhere else."""

    id: UUID
    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"OpenedSession(id={self.id}, token=...)"


class SessionNow(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it stands: `level_until` only while a proven level holds. `strong` is for orders that mail and text have both proven."""

    id: UUID
    level: IdentityLevel
    level_until: datetime | None
    expires_at: datetime


class CodeAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a code. `order_ref` None: the address alone, for all orders under it."""

    email: str
    order_ref: str | None
    language: str
    client: str
    """the address it came from, for counting"""
    channel: Channel = "mail"
    origin: str = ""
    """the page that asks, for phones that fill a code in on that page alone"""


class Identity:
    """Proves customers. The vault is of the purpose `identity`; `clock` is aware UTC and only judges platforms' tokens."""

    def __init__(
        self,
        *,
        store: IdentityStore,
        platforms: Platforms,
        verifier: Verifier,
        vault: Vault,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        codes_by_text: bool = False,
    ) -> None:
        self.codes_by_text = codes_by_text
        self._store = store
        self._platforms = platforms
        self._verifier = verifier
        self._vault = vault
        self._clock = clock
        self._limits = limits or Limits()

    # ------------------------------------------------------------------------------------------- sessions

    async def open_session(self, platform: Platform, client: str) -> OpenedSession:
        """An anonymous session. Raises TooMany."""
        await self._take(platform.id, [self._limit("session-client", client, self._limits.sessions_per_client)])
        token, session_id = f"mgs_{secrets.token_urlsafe(_TOKEN_BYTES)}", new_id()
        expires_at = await self._store.open_session(platform.id, session_id, _hash(token), SESSION_SECONDS)
        return OpenedSession(id=session_id, token=token, expires_at=expires_at)

    async def caller_for_session(self, token: str) -> Caller | None:
        """Who holds this session, at the level that holds now. None when it is unknown or has run out. One statement."""
        row = await self._store.session(_hash(token)) if _TOKEN.fullmatch(token) else None
        if row is None:
            return None
        return Caller(
            kind="customer",
            platform_id=row["platform_id"],
            platform=row["slug"],
            id=row["id"],
            name="customer",
            level=IdentityLevel(row["level"]),
            session_id=row["id"],
            email=row["email"],
            only_pass=row["only_pass"],
            text=None
            if row["text_phone"] is None
            else TextProof(email=row["text_email"], phone=row["text_phone"], beside_mail=row["both"] is not None),
        )

    async def session_now(self, token: str) -> SessionNow | None:
        row = await self._store.session(_hash(token)) if _TOKEN.fullmatch(token) else None
        if row is None:
            return None
        level = IdentityLevel.STRONG if row["both"] else IdentityLevel(row["level"])
        return SessionNow(id=row["id"], level=level, level_until=row["both"] or row["until"], expires_at=row["expires_at"])

    async def close_session(self, caller: Caller) -> None:
        """Ends it at once, and forgets the address and the phone that it had proven. A platform's JWT is not ours to end."""
        if caller.session_id is not None:
            await self._store.close_session(caller.platform_id, caller.session_id)

    # ---------------------------------------------------------------------------------------------- codes

    async def request_code(self, caller: Caller, asked: CodeAsked) -> None:
        """Writes to the address if it is of the order (or of any), or to the phone of its buyer: the work and the answer are the same if
        there is none, or if the address could be read as another (`provable`). Raises TooMany, NoTexts.
        """
        if asked.channel == "text" and not self.codes_by_text:
            raise NoTexts
        session_id = _own_session(caller)
        buckets = code_buckets if asked.channel == "mail" else text_buckets
        asks = Asks(session=session_id, email=asked.email, order_ref=asked.order_ref, client=asked.client)
        await self._take(caller.platform_id, buckets(self._vault, self._limits, asks))
        email = asked.email if provable(asked.email) else None
        code_id = new_id()
        digits = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        code = NewCode(
            platform_id=caller.platform_id,
            session_id=session_id,
            id=code_id,
            email=email,
            order_ref=asked.order_ref,
            hash=self._code_hash(code_id, digits),
            sealed=sealed_code.seal(
                self._vault, code_id, CodeInside(digits=digits, email=email or "", order_ref=asked.order_ref, origin=asked.origin)
            ),
            language=asked.language,
            lifetime_seconds=CODE_SECONDS,
        )
        # fixed size: two ids and nothing else
        await self._store.request_code(code, caller.platform_id.bytes + code_id.bytes, channel=asked.channel)

    async def verify_code(self, caller: Caller, digits: str, client: str) -> datetime:
        """Raises the session by what the code proves: one by mail the address, one by text address and phone together. Returns until when.

        Raises CodeRefused, TooMany.
        """
        session_id = _own_session(caller)
        await self._take(caller.platform_id, [self._limit("try-client", client, self._limits.tries_per_client)])
        tried = await self._store.take_try(caller.platform_id, session_id)
        fits = [one for one in tried if hmac.compare_digest(one.hash, self._code_hash(one.id, digits)) and one.written_to]
        for one in fits:
            until: datetime | None = await self._store.prove(
                caller.platform_id,
                session_id,
                one.id,
                channel=one.channel,
                verified_seconds=VERIFIED_SECONDS,
                strong_seconds=STRONG_SECONDS,
            )
            if until is not None:
                return until
        raise CodeRefused

    # ----------------------------------------------------------------------------------- a platform's JWT

    async def caller_for_platform_token(self, slug: str, token: str) -> Caller | None:
        """Who the platform says is asking. None when the token proves nothing. Raises Unavailable when its keys cannot be had."""
        platform = await self._platforms.by_slug(slug)
        if platform is None or platform.proof is None:
            return None
        now = self._clock()
        try:
            claims = await self._verifier.verify(token, platform.proof, now)
        except BadProof:
            return None
        return Caller(
            kind="customer",
            platform_id=platform.id,
            platform=platform.slug,
            id=uuid5(platform.id, f"{platform.proof.issuer}\n{claims.subject}"),
            name="customer",
            level=level_of_claims(claims, now),
            email=claims.email,
            customer_ref=claims.subject,
        )

    # ------------------------------------------------------------------------------------ what that opens

    async def orders_open_to(self, caller: Caller, order_ref: str | None = None) -> Sequence[OpenOrder]:
        """The orders that a customer may see, newest first: whole as buyer (by `sub`, a proven address, or by text), one pass as holder.

        With `order_ref` that order only. One statement; empty for whoever has proven nothing.
        """
        if caller.kind != "customer" or not caller.level.at_least(IdentityLevel.VERIFIED):
            return ()
        return await self._store.open_orders(
            caller.platform_id,
            proofs=caller.proofs,
            customer_ref=caller.customer_ref,
            only_pass=caller.only_pass,
            order_ref=order_ref,
        )

    async def level_for(self, caller: Caller, order_ref: str) -> IdentityLevel:
        """How sure we are that this caller may act for that order. Of an agent: what their recorded check would make it.

        A platform's key is `verified` for the orders it names; people at the desk and machines with the scope `vouch` are when they record
        what they checked; a machine without it only relays.
        """
        if caller.kind == "customer":
            return _level_of(caller, await self.orders_open_to(caller, order_ref))
        if caller.kind == "machine" and "vouch" not in caller.scopes:
            return IdentityLevel.CLAIMED
        return IdentityLevel.VERIFIED

    async def count_case(self, caller: Caller) -> None:
        """One more case of a customer's session or subject. Raises TooMany."""
        await self._take(caller.platform_id, [self._limit("case-customer", caller.key, self._limits.cases_per_customer)])

    async def count_words(self, caller: Caller) -> None:
        """One more message or answer of a customer. Raises TooMany."""
        await self._take(caller.platform_id, [self._limit("words-customer", caller.key, self._limits.words_per_customer)])

    async def count_look(self, caller: Caller) -> None:
        """One more look of a customer at what could be done for them. Raises TooMany."""
        await self._take(caller.platform_id, [self._limit("look-customer", caller.key, self._limits.looks_per_customer)])

    async def count_sign_in(self, platform_id: UUID, client: str) -> None:
        """One more way to a platform's own provider, from one address. Raises TooMany."""
        await self._take(platform_id, [self._limit("sign-in-client", client, self._limits.sign_ins_per_client)])

    async def forget_old(self) -> None:
        """The clean-up, for a schedule: once an hour keeps the tables small."""
        await self._store.forget_old()

    async def _take(self, platform_id: UUID, limits: Sequence[Limit]) -> None:
        seconds = await self._store.take(platform_id, limits)
        if seconds:
            raise TooMany(seconds)

    def _limit(self, kind: str, named: str, limit: tuple[int, int]) -> Limit:
        return bucket(self._vault, kind, named, limit)

    def _code_hash(self, code_id: UUID, digits: str) -> bytes:
        return self._vault.keyed_hash(b"code", code_id.bytes, digits.encode())


def level_of_claims(claims: TokenClaims, now: datetime) -> IdentityLevel:
    """`verified` for half an hour from `iat`; `strong` with a second factor and a sign-in within ten minutes."""
    if now - claims.issued_at > timedelta(seconds=VERIFIED_SECONDS):
        return IdentityLevel.CLAIMED
    signed_in = claims.auth_time
    if claims.second_factor and signed_in is not None and now - signed_in <= timedelta(seconds=STRONG_SECONDS):
        return IdentityLevel.STRONG
    return IdentityLevel.VERIFIED


def _level_of(caller: Caller, found: Sequence[OpenOrder]) -> IdentityLevel:
    """For one order: as its buyer, else as a holder, else nothing is known."""
    buyer = next((one for one in found if one.role == "buyer"), None)
    level = None if buyer is None else caller.as_buyer(proven=buyer.proven, customer_ref=buyer.customer_ref)
    return level or (IdentityLevel.VERIFIED if found else min_level(caller.level, IdentityLevel.CLAIMED))


def min_level(one: IdentityLevel, other: IdentityLevel) -> IdentityLevel:
    return other if one.at_least(other) else one


def _hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def _own_session(caller: Caller) -> UUID:
    """Codes belong to a session of ours; who comes with a platform's JWT is proven already."""
    if caller.session_id is None:
        raise CodeRefused
    return caller.session_id
