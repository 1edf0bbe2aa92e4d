"""What the sandbox posts, and who is believed: in any order, again, forged, and to a rail that can or cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from integrations.sandbox import SandboxRail
from integrations.sandbox_books import Fault, SandboxPool, Script
from integrations.sandbox_posts import SignedPost
from integrations.sandbox_webhook import SandboxNotifications
from service.model import Money
from service.ports import DisputeNews, Event, Forged, News, RefundNews, WarningNews
from tests.contracts.rails.benches import SandboxBench, request_for

NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
OLD_SECRET, SECRET = "a secret of before", "a secret of tests"


@pytest.fixture
def webhook(sandbox: SandboxBench) -> SandboxNotifications:
    return SandboxNotifications(sandbox.rail, [OLD_SECRET, SECRET])


async def news_of(webhook: SandboxNotifications, posts: Sequence[SignedPost]) -> list[News]:
    return [news for post in posts for event in await webhook.opened(post.body, post.headers, NOW) for news in await webhook.news(event)]


async def test_every_change_is_told_once_and_only_to_whoever_wants_to_know(sandbox: SandboxBench) -> None:
    payment = await sandbox.charge(5000)
    await sandbox.rail.refund(request_for(sandbox, payment, 700), key="key-0")
    await sandbox.books.subscribe()
    request = request_for(sandbox, payment, 700)
    refund = await sandbox.rail.refund(request, key="key-1")
    await sandbox.rail.refund(request, key="key-1")
    for _ in range(2):
        await sandbox.books.fail_late(refund.provider_ref, "declined")
    await sandbox.books.open_dispute(payment)
    await sandbox.books.close_dispute(payment)
    await sandbox.books.warn(payment)

    posts = await sandbox.books.notifications(SECRET, NOW)

    kinds = [msgspec.json.decode(post.body)["kind"] for post in posts]
    assert kinds == ["refund.created", "refund.updated", "dispute.open", "dispute.won", "warning.created"]
    assert await sandbox.books.notifications(SECRET, NOW, after=posts[-2].id) == posts[-1:]


async def test_what_was_rolled_back_was_never_told(sandbox: SandboxBench) -> None:
    await sandbox.books.subscribe()
    payment = await sandbox.disputed_charge(5000)
    before = len(await sandbox.books.notifications(SECRET, NOW))
    with pytest.raises(Exception, match="disputed"):
        await sandbox.rail.refund(request_for(sandbox, payment, 700), key="key-1")

    assert len(await sandbox.books.notifications(SECRET, NOW)) == before == 1


async def test_the_books_are_asked_and_a_late_post_changes_nothing(sandbox: SandboxBench, webhook: SandboxNotifications) -> None:
    await sandbox.books.subscribe()
    payment = await sandbox.charge(5000)
    request = request_for(sandbox, payment, 700)
    refund = await sandbox.rail.refund(request, key="key-1")
    await sandbox.books.fail_late(refund.provider_ref, "declined")
    created, updated = await sandbox.books.notifications(SECRET, NOW)

    news = await news_of(webhook, [updated, created, created])

    found = await sandbox.rail.find(request)
    assert found is not None
    assert found.state == "FAILED"
    assert news == [RefundNews(payment_ref=payment, refund=found)] * 3


async def test_where_nobody_can_be_asked_the_signed_item_is_the_evidence(sandbox: SandboxBench, sandbox_pool: SandboxPool) -> None:
    await sandbox.books.subscribe()
    payment = await sandbox.charge(5000)
    await sandbox.books.script(Script(fault=Fault.ACCEPTED, detail="insufficient_funds"))
    request = request_for(sandbox, payment, 700)
    refund = await sandbox.rail.refund(request, key="key-1")
    await sandbox.books.fail_late(refund.provider_ref, "expired_or_canceled_card")
    await sandbox.books.open_dispute(payment)
    silent = SandboxNotifications(SandboxRail(sandbox.rail.name, sandbox_pool, reads=False), [SECRET])

    created, updated, disputed = await news_of(silent, await sandbox.books.notifications(SECRET, NOW))

    assert created == RefundNews(payment_ref=payment, refund=refund)
    assert isinstance(updated, RefundNews)
    assert updated.refund == msgspec.structs.replace(refund, state="FAILED", failure="expired_or_canceled_card", waiting="")
    assert disputed == DisputeNews(
        payment_ref=payment, dispute_ref=f"dispute_{payment}", state="open", amount=Money(minor=5000, currency="EUR")
    )


async def test_disputes_and_warnings_are_told_as_they_stand_now(sandbox: SandboxBench, webhook: SandboxNotifications) -> None:
    await sandbox.books.subscribe()
    payment = await sandbox.charge(5000)
    await sandbox.books.open_dispute(payment)
    await sandbox.books.lose_dispute(payment)
    await sandbox.books.warn(payment)

    opened, lost, warned = await news_of(webhook, await sandbox.books.notifications(SECRET, NOW))

    assert isinstance(opened, DisputeNews)
    assert (opened, opened.state) == (lost, "lost")
    assert warned == WarningNews(payment_ref=payment, warning_ref=f"warning_{payment}")


async def test_a_refund_made_by_others_is_told_without_an_attempt(sandbox: SandboxBench, webhook: SandboxNotifications) -> None:
    await sandbox.books.subscribe()
    payment = await sandbox.charge(5000)
    ref = await sandbox.books.refund_elsewhere(payment, Money(minor=700, currency="EUR"))

    (news,) = await news_of(webhook, await sandbox.books.notifications(SECRET, NOW))

    assert isinstance(news, RefundNews)
    assert (news.refund.provider_ref, news.refund.attempt_id, news.refund.amount.minor) == (ref, None, 700)


async def test_posts_that_nobody_took_are_missed_ones(sandbox: SandboxBench, webhook: SandboxNotifications) -> None:
    await sandbox.books.subscribe()
    for _ in range(130):
        await sandbox.books.open_dispute(await sandbox.charge(5000))
    posts = await sandbox.books.notifications(SECRET, NOW)
    await sandbox.books.delivered(*(post.id for post in posts[:10]))

    missed = [one async for one in webhook.missed(datetime(2000, 1, 1, tzinfo=UTC))]

    assert [one.id for one in missed] == [f"sandbox_{post.id}" for post in posts[10:]]
    assert await webhook.opened(posts[10].body, posts[10].headers, NOW) == missed[:1]
    assert [one async for one in webhook.missed(datetime(2100, 1, 1, tzinfo=UTC))] == []


async def test_who_did_not_sign_or_not_lately_is_not_believed(sandbox: SandboxBench, webhook: SandboxNotifications) -> None:
    await sandbox.books.subscribe()
    await sandbox.disputed_charge(5000)
    (post,) = await sandbox.books.notifications(SECRET, NOW)
    (rolled,) = await sandbox.books.notifications(OLD_SECRET, NOW)
    (stranger,) = await sandbox.books.notifications("another secret", NOW)
    (stale,) = await sandbox.books.notifications(SECRET, NOW - timedelta(seconds=301))
    (early,) = await sandbox.books.notifications(SECRET, NOW + timedelta(seconds=301))

    for believed in (post, rolled):
        assert len(await webhook.opened(believed.body, believed.headers, NOW)) == 1
    forged = [
        (stranger.body, stranger.headers),
        (stale.body, stale.headers),
        (early.body, early.headers),
        (post.body + b" ", post.headers),
        (post.body.replace(b"5000", b"5001"), post.headers),
        (post.body, {}),
        *((post.body, {**post.headers, name: "1"}) for name in ("webhook-id", "webhook-timestamp", "webhook-signature")),
        (post.body, {**post.headers, "webhook-signature": ""}),
    ]
    for body, headers in forged:
        with pytest.raises(Forged):
            await webhook.opened(body, headers, NOW)


async def test_another_accounts_posts_and_unknown_kinds_mean_nothing(
    sandbox: SandboxBench, webhook: SandboxNotifications, sandbox_pool: SandboxPool
) -> None:
    await sandbox.books.subscribe()
    await sandbox.disputed_charge(5000)
    (post,) = await sandbox.books.notifications(SECRET, NOW)
    other = SandboxNotifications(SandboxRail("another account", sandbox_pool), [SECRET])

    assert await other.opened(post.body, post.headers, NOW) == []
    unknown = Event(id="sandbox_1", kind="payout.created", happened_at=None, about={"ref": "po_1", "payment_ref": ""})
    assert await webhook.news(unknown) == ()


@pytest.mark.parametrize("secrets", [[], [""], ["a secret", " "]], ids=str)
def test_a_webhook_without_a_secret_is_not_made(sandbox: SandboxBench, secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret"):
        SandboxNotifications(sandbox.rail, secrets)
