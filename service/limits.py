"""How often customers and agents may ask, and by what a request for a code is counted."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from service.addresses import folded
from service.sealing import Vault
from service.store.identity import Limit


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How often, and in how many seconds. They count requests and not successes, so being refused says nothing about an order."""

    codes_per_address_and_client: tuple[int, int] = (5, 3600)
    """one mailbox is not filled from one place. Who asks for somebody else's address uses up what that address has from their own place,
    and not what its owner has from another: so this is small, and what an address has in all is wide"""
    codes_per_address_and_client_and_day: tuple[int, int] = (15, 86400)
    codes_per_address: tuple[int, int] = (20, 3600)
    """from everywhere together: whoever wants to keep a customer from their code needs four places. A guesser with that many has five tries
    at each code: 100 an hour at a million"""
    codes_per_address_and_day: tuple[int, int] = (60, 86400)
    """300 tries a day at a million, and 100 more by text: one in 2,500 guesses right on a day on which they fill that mailbox"""
    codes_per_order_and_client: tuple[int, int] = (10, 3600)
    """a group asks for one order together"""
    codes_per_order: tuple[int, int] = (40, 3600)
    codes_per_session: tuple[int, int] = (6, 900)
    codes_per_client: tuple[int, int] = (20_000, 600)
    """a venue or a mobile network hides a crowd behind one address, and an outage brings them all at once: 7,000 with nearly three each,
    and no visitor uses that up for the others in passing. An invented address sends nothing, so what such a visitor costs is rows"""
    texts_per_address_and_client: tuple[int, int] = (3, 3600)
    """as letters, and fewer: each costs money. Who orders under an address is asked for texts by it"""
    texts_per_address_and_client_and_day: tuple[int, int] = (6, 86400)
    texts_per_address: tuple[int, int] = (10, 3600)
    """50 tries an hour at a million"""
    texts_per_address_and_day: tuple[int, int] = (20, 86400)
    """100 tries a day at a million"""
    texts_per_order_and_client: tuple[int, int] = (5, 3600)
    texts_per_order: tuple[int, int] = (20, 3600)
    texts_per_session: tuple[int, int] = (3, 900)
    """a text comes within seconds or not at all: a third try helps nobody, and each costs money"""
    texts_per_client: tuple[int, int] = (1_000, 600)
    """a crowd's second way. What costs money is bounded by address, by phone and by platform"""
    texts_per_phone: tuple[int, int] = (5, 3600)
    """this and the two below count what is sent, where nobody sees it, since the phone is not theirs who asks to know of"""
    texts_per_phone_and_day: tuple[int, int] = (10, 86400)
    texts_per_platform: tuple[int, int] = (2000, 86400)
    """about a hundred euros a day at worst; the installation may set its own (MAKEGOOD_TEXTS_PER_DAY)"""
    tries_per_client: tuple[int, int] = (40_000, 600)
    """twice the codes: most people mistype once or never. What holds a guesser is five tries a code, and the codes of an address"""
    sessions_per_client: tuple[int, int] = (20_000, 600)
    """the crowd of `codes_per_client`; a session is a row that is gone after three days"""
    sign_ins_per_client: tuple[int, int] = (60, 600)
    """an office of agents behind one address begins its shift at once; each way to the provider is a row that is kept for a while"""
    cases_per_customer: tuple[int, int] = (30, 3600)
    """an evening on which everything goes wrong; more is a script that fills the queue"""
    words_per_customer: tuple[int, int] = (60, 3600)
    """one a minute: a conversation"""
    looks_per_customer: tuple[int, int] = (300, 3600)
    """a widget that is opened again and again for an hour, five times a minute; each look works out what the rules would do"""


class Asks(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a code, as it is counted. Without an order the session's own bucket stands in for it."""

    session: UUID
    email: str
    order_ref: str | None
    client: str
    """the address it came from"""


def code_buckets(vault: Vault, limits: Limits, asks: Asks) -> Sequence[Limit]:
    """Of a letter: always the same number of buckets, whatever was asked for."""
    address, order, session, here = folded(asks.email), asks.order_ref or f"none:{asks.session.hex}", asks.session.hex, f"\n{asks.client}"
    return [
        bucket(vault, "code-address-client", address + here, limits.codes_per_address_and_client),
        bucket(vault, "code-address-client-day", address + here, limits.codes_per_address_and_client_and_day),
        bucket(vault, "code-address", address, limits.codes_per_address),
        bucket(vault, "code-address-day", address, limits.codes_per_address_and_day),
        bucket(vault, "code-order-client", order + here, limits.codes_per_order_and_client),
        bucket(vault, "code-order", order, limits.codes_per_order),
        bucket(vault, "code-session", session, limits.codes_per_session),
        bucket(vault, "code-client", asks.client, limits.codes_per_client),
    ]


def text_buckets(vault: Vault, limits: Limits, asks: Asks) -> Sequence[Limit]:
    """As many as for a letter. What is really sent is counted where it is sent."""
    address, order, session, here = folded(asks.email), asks.order_ref or f"none:{asks.session.hex}", asks.session.hex, f"\n{asks.client}"
    return [
        bucket(vault, "text-address-client", address + here, limits.texts_per_address_and_client),
        bucket(vault, "text-address-client-day", address + here, limits.texts_per_address_and_client_and_day),
        bucket(vault, "text-address", address, limits.texts_per_address),
        bucket(vault, "text-address-day", address, limits.texts_per_address_and_day),
        bucket(vault, "text-order-client", order + here, limits.texts_per_order_and_client),
        bucket(vault, "text-order", order, limits.texts_per_order),
        bucket(vault, "text-session", session, limits.texts_per_session),
        bucket(vault, "text-client", asks.client, limits.texts_per_client),
    ]


def bucket(vault: Vault, kind: str, named: str, limit: tuple[int, int]) -> Limit:
    """The bucket's name is a keyed hash: the table of limits is no list of addresses."""
    digest = vault.keyed_hash(kind.encode(), named.encode()).hex()
    return Limit(bucket=f"{kind}:{digest}", most=limit[0], seconds=limit[1])
