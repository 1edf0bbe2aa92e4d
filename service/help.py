"""What the help widget shows at its start: the platform and its show to anybody; to a customer their own orders and cases."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final, Literal, Protocol
from uuid import UUID

import msgspec

from service.callers import Caller
from service.identity import Identity
from service.kept import Kept
from service.letters.model import Words
from service.letters.render import OUR_WORDS
from service.likely import Likelies, Likely
from service.model import WireId, wire
from service.notices import NoticeShown
from service.platforms import Contacts, Platform, Platforms
from service.post_words import desk_opens
from service.shown import in_language
from service.standing import status
from service.store.help import CaseLineRow, EntryRow, HelpStore, ShowNow, ShowRead
from service.view import Phase, phase

# A show's start and a platform's words hardly change; every widget of a crowd asks at once when a stream stops.
_KEPT_SECONDS: Final = 2.0
# Shows of all platforms that are on at once; anybody may name a show that is none.
_KEPT_MAX: Final = 1_000

# What one can use of a line that is written for people: `our team, help@shop.example`.
_ADDRESS_IN_LINE: Final = re.compile(r"[^\s@<>(),;:\"]{1,64}@[^\s@<>(),;:\"]{1,180}\.[^\W\d_]{2,24}")
_WEB_IN_LINE: Final = re.compile(r"https?://[^\s<>\"(),;]{4,190}")
_NUMBER_IN_LINE: Final = re.compile(r"(?<!\w)\+?[0-9][0-9 ()/.-]{5,20}[0-9](?!\w)")


class ContactsShown(msgspec.Struct, frozen=True, kw_only=True):
    """Where people answer, should nothing else work; what is not set and stands in no line of it is empty or null."""

    support: str
    email: str | None
    phone: str | None
    url: str | None


class HoursShown(msgspec.Struct, frozen=True, kw_only=True):
    """Whether people are at the desk."""

    open: bool
    opens_at: datetime | None
    """while it is closed"""


class ShowShown(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    name: Mapping[str, str]
    """language -> name"""
    starts_at: datetime
    ends_at: datetime
    zone: str
    status: str
    phase: Phase


class HelpShown(msgspec.Struct, frozen=True, kw_only=True):
    """What is no secret: how the platform looks and speaks, where its people are, and how its show stands."""

    platform: str
    name: str
    accent: str
    languages: tuple[str, ...]
    zone: str
    words: Mapping[str, Words]
    """language -> the platform's own words as they stand within a sentence"""
    contacts: ContactsShown
    desk: HoursShown
    codes_by_text: bool
    """a code can be sent to a phone as well"""
    show: ShowShown | None
    """null: none was named, or we do not know it"""
    notice: NoticeShown | None = None
    """what everybody at this show is told just now"""


class ShowOfOrder(msgspec.Struct, frozen=True, kw_only=True):
    ref: str
    name: str
    """in the asked language"""
    starts_at: datetime
    ends_at: datetime
    zone: str
    status: str
    phase: Phase


class ItemShown(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    kind: str
    pass_id: str | None
    """of its valid ticket"""


class CaseLine(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    status: str
    """as of the case itself"""
    problem: str
    order: str | None
    show_name: str | None
    created_at: datetime
    ended_at: datetime | None


class OrderOfHelp(msgspec.Struct, frozen=True, kw_only=True):
    """One order and one of its shows. A holder sees their own tickets, and no price."""

    order: str
    role: Literal["buyer", "holder"]
    show: ShowOfOrder | None
    items: tuple[ItemShown, ...]
    total: int | None
    currency: str | None
    likely: tuple[Likely, ...]
    """what the facts say is wrong, each as the rules would decide it now"""
    case: CaseLine | None
    """the newest of this order and show; one that is open before one that has ended"""


class HelpOrders(msgspec.Struct, frozen=True, kw_only=True):
    orders: tuple[OrderOfHelp, ...]
    """newest first; at most 20"""
    cases: tuple[CaseLine, ...]
    """newest first; at most 20"""


class NoticesNow(Protocol):
    async def now(self, platform: UUID, show: str, /) -> NoticeShown | None:
        """What everybody at this show is told just now; None: nothing."""


class NoNotices:
    async def now(self, _platform: UUID, _show: str, /) -> NoticeShown | None:
        return None


class Help:
    """One a process. `monotonic` counts what is kept; `codes_by_text`: a texter is configured."""

    def __init__(
        self,
        store: HelpStore,
        platforms: Platforms,
        identity: Identity,
        likelies: Likelies,
        *,
        monotonic: Callable[[], float],
        notices: NoticesNow | None = None,
        codes_by_text: bool = False,
    ) -> None:
        self._store = store
        self._platforms = platforms
        self._identity = identity
        self._likelies = likelies
        self._notices = notices or NoNotices()
        self._codes_by_text = codes_by_text
        self._kept: Kept[tuple[UUID, str | None], ShowRead] = Kept(_KEPT_SECONDS, most=_KEPT_MAX, monotonic=monotonic)

    async def shown(self, slug: str, show: str | None) -> HelpShown | None:
        """What anybody may know; None: there is no such platform."""
        platform = await self._platforms.by_slug(slug)
        if platform is None:
            return None
        read = await self._kept.get((platform.id, show), partial(self._store.show, platform.id, show))
        settings = platform.settings
        return HelpShown(
            platform=platform.slug,
            name=settings.name,
            accent=settings.accent,
            languages=settings.languages,
            zone=settings.zone,
            words=_words(platform),
            contacts=_reach(settings.contacts),
            desk=hours_now(platform, read.now),
            codes_by_text=self._codes_by_text,
            show=None if read.show is None else _show(read.show, read.now),
            notice=None if read.show is None else await self._notices.now(platform.id, read.show.ref),
        )

    async def orders(self, caller: Caller, locale: str, show: str | None) -> HelpOrders:
        """The caller's own orders with what is likely wrong, and their cases. Who has proven nothing has the cases of their own session.

        Raises TooMany.
        """
        await self._identity.count_look(caller)
        found = await self._identity.orders_open_to(caller)
        bought = [one.order_id for one in found if one.role == "buyer"]
        held = [one.pass_id for one in found if one.pass_id is not None and one.order_id not in set(bought)]
        read = await self._store.entries(caller.platform_id, bought=bought, held=held, show=show) if found else None
        lines = await self._store.cases(caller.platform_id, bought=bought, held=held, session=caller.session_id, opener=caller.key)
        entries = read.entries if read else ()
        likely = await self._likelies.of_entries(caller, entries, locale)
        return HelpOrders(
            orders=tuple(
                _entry(one, likely.get((one.order_id, one.show.id if one.show else None), ()), lines, read.now, locale)
                for one in entries
                if read is not None
            ),
            cases=tuple(_line(one, locale) for one in lines),
        )


def hours_now(platform: Platform, now: datetime) -> HoursShown:
    """Whether the desk is open, in the platform's own zone."""
    opens = desk_opens(now, platform.settings.desk_hours, platform.settings.zone)
    return HoursShown(open=opens <= now, opens_at=None if opens <= now else opens)


def _reach(contacts: Contacts) -> ContactsShown:
    """Also what stands within the line that is written for people. Of a line with an address its figures may be the address's."""
    email = contacts.email or _first(_ADDRESS_IN_LINE, contacts.support)
    url = contacts.url or _first(_WEB_IN_LINE, contacts.support)
    phone = contacts.phone or (None if email or url else _first(_NUMBER_IN_LINE, contacts.support))
    return ContactsShown(support=contacts.support, email=email, phone=phone, url=url)


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    found = pattern.search(text)
    return found[0] if found else None


def _words(platform: Platform) -> Mapping[str, Words]:
    """The platform's own in each language that it offers, else ours."""
    offered = {tag: tag.split("-", maxsplit=1)[0] for tag in platform.settings.languages}
    ours = {tag: OUR_WORDS[base] for tag, base in offered.items() if base in OUR_WORDS}
    return {**ours, **platform.settings.words}


def _show(row: ShowNow, now: datetime) -> ShowShown:
    return ShowShown(
        ref=row.ref,
        name=row.name,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        zone=row.zone,
        status=row.status,
        phase=phase(row.starts_at, row.ends_at, now),
    )


def _entry(row: EntryRow, likely: tuple[Likely, ...], lines: Sequence[CaseLineRow], now: datetime, locale: str) -> OrderOfHelp:
    buyer, show = row.role == "buyer", row.show
    of_it = [one for one in lines if one.order == row.order and one.show in {None, show.ref if show else None}]
    case = next((one for one in of_it if one.state == "open"), of_it[0] if of_it else None)
    return OrderOfHelp(
        order=row.order,
        role="buyer" if buyer else "holder",
        show=None
        if show is None
        else ShowOfOrder(
            ref=show.ref,
            name=in_language(show.name, locale),
            starts_at=show.starts_at,
            ends_at=show.ends_at,
            zone=show.zone,
            status=show.status,
            phase=phase(show.starts_at, show.ends_at, now),
        ),
        items=tuple(
            ItemShown(name=one.name, kind=one.kind, pass_id=wire(WireId.PASS, one.pass_id) if one.pass_id else None) for one in row.items
        ),
        total=row.total if buyer else None,
        currency=row.currency if buyer else None,
        likely=likely,
        case=None if case is None else _line(case, locale),
    )


def _line(row: CaseLineRow, locale: str) -> CaseLine:
    return CaseLine(
        id=wire(WireId.CASE, row.id),
        status=status(row),
        problem=row.problem,
        order=row.order,
        show_name=None if row.show_name is None else in_language(row.show_name, locale),
        created_at=row.created_at,
        ended_at=row.ended_at,
    )
