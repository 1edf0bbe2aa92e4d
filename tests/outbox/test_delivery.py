"""What is told arrives: each order's events in their order, once where all goes well, and again where it does not."""

from __future__ import annotations

import asyncio
from typing import Final
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from service.outbox import AT_ONCE, LEASE_SECONDS, PLATFORM_AT_ONCE, WINDOW
from service.ports import Declined, EventTold, HookAnswer, OutcomeUnknown, Unavailable
from service.store.endpoints import ENDPOINTS_MAX, Claimed
from service.store.keys import Change
from tests.outbox.conftest import Gate, Post, Town

SHOP: Final = "https://shop.example/hooks"
GATE: Final = "https://gate.example/hooks"


async def test_an_event_arrives_signed_and_once(town: Town) -> None:
    _, secret = await town.endpoint(SHOP)
    await town.tell(await town.order(), 1)
    await town.until_still()
    (post,) = town.receivers.at(SHOP)
    seen = Webhook(secret).verify(post.body, dict(post.headers))
    assert seen["type"] == "order.changed"
    assert seen["id"] == post.headers["webhook-id"]
    assert seen["position"] == 1
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(post.body + b" ", dict(post.headers))


async def test_a_new_endpoint_is_told_what_happens_from_then_on(town: Town) -> None:
    order = await town.order()
    await town.tell(order, 1)
    await town.turn()
    await town.endpoint(SHOP)
    await town.tell(order, 2)
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [2]


async def test_an_endpoint_is_told_the_types_it_asked_for_and_no_others(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP, ["order.*"])
    other, _ = await town.endpoint(GATE, ["order.disagrees", "refund.*"])
    order = await town.order()
    await town.tell(order, 1)
    await town.tell(order, 2, "order.disagrees")
    await town.tell(order, 3, "something.new")
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 2]
    assert town.receivers.numbers(GATE) == [2]
    assert [(await town.row(one))["position"] for one in (endpoint, other)] == [3, 3]


async def test_events_of_an_order_keep_their_order_and_orders_go_beside_each_other(town: Town) -> None:
    await town.endpoint(SHOP)
    orders = [await town.order() for _ in range(40)]
    under_way: set[str] = set()
    seen: dict[UUID, list[int]] = {}

    async def slowly(post: Post) -> int:
        order = post.event["data"]["order"]
        assert order not in under_way, "two events of one order at once"
        under_way.add(order)
        for _ in range(5):
            await asyncio.sleep(0)
        under_way.remove(order)
        seen.setdefault(order, []).append(post.number)
        return 200

    town.receivers.answers[SHOP] = slowly
    for n in range(200):
        await town.tell(orders[n * 7 % 40], n)
    await town.until_still()
    assert sorted(n for numbers in seen.values() for n in numbers) == list(range(200))
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert 1 < town.receivers.at_once_most <= AT_ONCE


async def test_an_event_that_fails_holds_back_its_order_and_no_other(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    bad, good = await town.order(), await town.order()
    broken = {1}

    async def some(post: Post) -> int:
        return 500 if post.number in broken else 200

    town.receivers.answers[SHOP] = some
    for n, order in ((1, bad), (2, good), (3, bad), (4, good)):
        await town.tell(order, n)
    await town.until_still()
    await town.tell(bad, 5)
    await town.tell(good, 6)
    await town.until_still()
    assert [n for n in town.receivers.numbers(SHOP) if n != 1] == [2, 4, 6]
    assert await town.waiting(endpoint) == [(1, "parked"), (3, "parked"), (5, "parked")]
    assert (await town.row(endpoint))["position"] == 6
    broken.clear()
    await town.pass_seconds(5.1)
    await town.until_still()
    assert [n for n in town.receivers.numbers(SHOP) if n in (1, 3, 5)] == [1, 1, 3, 5]
    assert await town.waiting(endpoint) == []


async def test_an_event_is_tried_again_after_longer_and_longer_waits(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    bad, good = await town.order(), await town.order()

    async def some(post: Post) -> int:
        return 500 if post.number == 1 else 200

    town.receivers.answers[SHOP] = some
    await town.tell(bad, 1)
    for tries, wait in enumerate((5, 30, 120, 600, 1800, 3600, 7200, 7200, 7200), 1):
        await town.tell(good, 100 + tries)
        await town.until_still()
        assert town.receivers.numbers(SHOP).count(1) == tries
        await town.pass_seconds(wait * 0.98)
        await town.until_still()
        assert town.receivers.numbers(SHOP).count(1) == tries
        await town.pass_seconds(wait * 0.03)
    assert await town.waiting(endpoint) == [(1, "parked")]


async def test_an_event_that_fails_for_three_days_while_others_go_is_dead_and_its_successors_go_on(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    bad, good = await town.order(), await town.order()

    async def some(post: Post) -> int:
        return 500 if post.number == 1 else 200

    town.receivers.answers[SHOP] = some
    await town.tell(bad, 1)
    await town.tell(bad, 2)
    for number in range(42):
        await town.tell(good, 100 + number)
        await town.until_still()
        await town.pass_seconds(7200)
    assert await town.waiting(endpoint) == [(1, "dead")]
    assert town.receivers.numbers(SHOP).count(2) == 1
    assert (await town.row(endpoint))["state"] == "active"
    assert await alerts(town) == ["delivery_given_up"]
    town.receivers.answers.clear()
    events = [post.event["id"] for post in town.receivers.at(SHOP) if post.number == 1]
    assert await town.endpoints.replay(town.caller, town.key(), endpoint, {"events": [str(UUID(events[0][4:]))]}, "mended") == 1
    await town.until_still()
    assert await town.waiting(endpoint) == []
    assert len({*events, town.receivers.at(SHOP)[-1].event["id"]}) == 1


async def test_an_endpoint_that_takes_no_connection_is_probed_alone_and_its_position_stays(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    for n in range(100):
        await town.tell(await town.order(), n)

    async def refused(_: Post) -> int:
        raise Unavailable("nobody takes the connection", never_sent=True)

    town.receivers.answers[SHOP] = refused
    await town.until_still()
    assert len(town.receivers.at(SHOP)) <= AT_ONCE
    assert (await town.row(endpoint))["position"] == 0
    first = len(town.receivers.at(SHOP))
    for probe, wait in enumerate((5, 30, 120, 600, 1800, 3600, 7200, 7200)):
        await town.pass_seconds(wait * 0.98)
        await town.until_still()
        assert len(town.receivers.at(SHOP)) == first + probe
        await town.pass_seconds(wait * 0.03)
        await town.until_still()
        assert len(town.receivers.at(SHOP)) == first + probe + 1
    assert (await town.row(endpoint))["position"] == 0
    assert await town.waiting(endpoint) == []
    town.receivers.answers.clear()
    town.receivers.posts.clear()
    await town.pass_seconds(8000)
    await town.until_still()
    assert sorted(town.receivers.numbers(SHOP)) == list(range(100))
    assert (await town.row(endpoint))["failing_since"] is None


async def test_an_endpoint_where_everything_fails_is_left_alone_too(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)

    async def broken(_: Post) -> int:
        return 502

    town.receivers.answers[SHOP] = broken
    for n in range(WINDOW):
        await town.tell(await town.order(), n)
    await town.until_still()
    assert len(town.receivers.at(SHOP)) <= AT_ONCE + 4
    assert (await town.row(endpoint))["failing_since"] is not None
    tried = len(town.receivers.at(SHOP))
    assert (await town.row(endpoint))["position"] == len(await town.waiting(endpoint)) == tried
    await town.pass_seconds(6)
    await town.until_still()
    assert len(town.receivers.at(SHOP)) == tried + 1
    town.receivers.answers.clear()
    await town.pass_seconds(40)
    await town.until_still()
    assert set(town.receivers.numbers(SHOP)) == set(range(WINDOW))
    assert await town.waiting(endpoint) == []


async def test_one_bad_event_after_another_does_not_pass_for_a_dead_endpoint_for_long(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)

    async def some(post: Post) -> int:
        return 500 if post.number < 10 else 200

    town.receivers.answers[SHOP] = some
    for n in range(30):
        await town.tell(await town.order(), n)
    for _ in range(4):
        await town.until_still()
        await town.pass_seconds(6)
    assert {n for n, _ in await town.waiting(endpoint)} == set(range(10))
    assert {n for n in town.receivers.numbers(SHOP) if n >= 10} == set(range(10, 30))
    assert (await town.row(endpoint))["state"] == "active"


async def test_an_endpoint_that_was_dead_for_three_days_is_disabled_and_everybody_hears_of_it(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.endpoint(GATE)

    async def refused(_: Post) -> int:
        raise Unavailable("nobody takes the connection", never_sent=True)

    town.receivers.answers[SHOP] = refused
    await town.tell(await town.order(), 1)
    for _ in range(60):
        await town.until_still()
        await town.pass_seconds(7300)
    row = await town.row(endpoint)
    assert (row["state"], row["state_why"], row["position"]) == ("disabled", "nobody takes the connection", 0)
    assert await alerts(town) == ["endpoint_disabled"]
    told = [post.event for post in town.receivers.at(GATE) if post.event["type"] == "endpoint.disabled"]
    assert [one["data"]["endpoint"] for one in told] == [f"ep_{endpoint.hex}"]
    assert told[0]["data"]["since"] is not None
    # it was not given up before its three days were over
    tries = len(town.receivers.at(SHOP))
    assert 36 <= tries <= 48
    await town.pass_seconds(90_000)
    await town.until_still()
    assert len(town.receivers.at(SHOP)) == tries
    town.receivers.answers.clear()
    await town.endpoints.enable(town.caller, endpoint, "mended")
    await town.until_still()
    assert 1 in [post.event["data"]["about"]["n"] for post in town.receivers.at(SHOP) if post.event["type"] == "order.changed"]


async def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)

    async def gone(_: Post) -> int:
        return 410

    town.receivers.answers[SHOP] = gone
    await town.tell(await town.order(), 1)
    await town.until_still()
    assert (await town.row(endpoint))["state"] == "disabled"
    assert (await town.row(endpoint))["state_why"] == "gone"
    assert len(town.receivers.at(SHOP)) == 1


@pytest.mark.parametrize(("asked", "waits"), [(60.0, 60.0), (0.0, 1.0), (10**6, 7200.0)])
async def test_a_receiver_may_ask_to_be_left_alone_for_a_while(town: Town, asked: float, waits: float) -> None:
    endpoint, _ = await town.endpoint(SHOP)

    async def busy(_: Post) -> HookAnswer:
        return HookAnswer(status=429, retry_after_seconds=asked)

    town.receivers.answers[SHOP] = busy
    await town.tell(await town.order(), 1)
    await town.turn()
    row = await town.row(endpoint)
    assert (row["next_try_at"] - await town.pool.fetchval("SELECT app_now()")).total_seconds() == pytest.approx(waits)
    town.receivers.answers.clear()
    await town.pass_seconds(waits + 0.1)
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 1]


async def test_a_dead_and_a_slow_endpoint_hold_up_nobody(town: Town) -> None:
    slow, dead = "https://slow.example/", "https://dead.example/"
    for url in (slow, dead, SHOP, GATE):
        await town.endpoint(url)
    kept = Gate()

    async def unanswered(_: Post) -> int:
        raise OutcomeUnknown("no answer in time")

    town.receivers.answers |= {slow: kept, dead: unanswered}
    for n in range(300):
        await town.tell(await town.order(), n)
    fast = (SHOP, GATE)
    while any(sorted(town.receivers.numbers(url)) != list(range(300)) for url in fast) or len(town.receivers.at(slow)) < AT_ONCE:
        await town.outbox.once()
        await asyncio.sleep(0.01)
    assert kept.reached.is_set()
    assert len(town.receivers.at(slow)) == AT_ONCE
    kept.open.set()
    await town.outbox.finish()


async def test_a_worker_that_dies_after_sending_leaves_it_to_be_sent_again_under_the_same_id(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.tell(await town.order(), 1)
    await town.turn()
    await town.tell(await town.order(), 2)
    kept = Gate()
    town.receivers.answers[SHOP] = kept
    await town.outbox.once()
    await kept.reached.wait()
    for task in tuple(town.outbox.rounds):
        task.cancel()
    await town.outbox.finish()
    town.receivers.answers.clear()
    other = town.process()
    await town.until_still(other)
    assert town.receivers.numbers(SHOP) == [1, 2]
    await town.pass_seconds(LEASE_SECONDS + 1)
    await town.until_still(other)
    assert town.receivers.numbers(SHOP) == [1, 2, 2]
    assert len({post.headers["webhook-id"] for post in town.receivers.at(SHOP)}) == 2
    assert (await town.row(endpoint))["position"] == 2


async def test_a_worker_that_was_held_up_writes_nothing_over_what_another_has_done(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.tell(await town.order(), 1)
    kept = Gate()
    town.receivers.answers[SHOP] = kept
    await town.outbox.once()
    await kept.reached.wait()
    await town.pass_seconds(LEASE_SECONDS + 1)
    town.receivers.answers.clear()
    other = town.process()
    await town.until_still(other)
    await town.tell(await town.order(), 2)
    await town.until_still(other)
    before = await town.row(endpoint)
    kept.open.set()
    await town.outbox.finish()
    assert await town.row(endpoint) == before
    assert town.receivers.numbers(SHOP) == [1, 1, 2]


async def test_two_processes_send_nothing_twice(town: Town) -> None:
    for url in (SHOP, GATE):
        await town.endpoint(url)
    processes = [town.process() for _ in range(3)]
    for n in range(300):
        await town.tell(await town.order(), n)
    for _ in range(40):
        await asyncio.gather(*(one.once() for one in processes))
        await asyncio.sleep(0)
    await asyncio.gather(*(one.finish() for one in processes))
    await town.until_still()
    for url in (SHOP, GATE):
        assert sorted(town.receivers.numbers(url)) == list(range(300))


async def test_both_secrets_sign_while_one_is_exchanged_for_the_other(town: Town) -> None:
    endpoint, old = await town.endpoint(SHOP)
    made = await town.endpoints.rotate(town.caller, town.key(), endpoint, 24, "every year")
    assert made is not None
    assert made.secret is not None
    await town.tell(await town.order(), 1)
    await town.until_still()
    (post,) = town.receivers.at(SHOP)
    for secret in (old, made.secret):
        Webhook(secret).verify(post.body, dict(post.headers))
    await town.pass_seconds(24 * 3600 + 1)
    await town.tell(await town.order(), 2)
    await town.until_still()
    post = town.receivers.at(SHOP)[-1]
    Webhook(made.secret).verify(post.body, dict(post.headers))
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(post.body, dict(post.headers))


async def half_sent(town: Town) -> tuple[UUID, str, Gate]:
    """An endpoint with its secret, of whose order's three events the first is on the wire."""
    endpoint, secret = await town.endpoint(SHOP)
    order = await town.order()
    for n in (1, 2, 3):
        await town.tell(order, n)
    kept = Gate()
    town.receivers.answers[SHOP] = kept
    await town.outbox.once()
    await kept.reached.wait()
    return endpoint, secret, kept


async def a_second_later(town: Town, kept: Gate) -> None:
    town.passed += 1.0
    kept.open.set()
    await town.outbox.finish()


async def test_an_endpoint_that_is_removed_is_sent_nothing_from_a_second_later_on(town: Town) -> None:
    endpoint, _, kept = await half_sent(town)
    assert await town.endpoints.remove(town.caller, endpoint, "no longer")
    await a_second_later(town, kept)
    assert town.receivers.numbers(SHOP) == [1]


async def test_an_endpoint_that_is_paused_is_sent_the_rest_when_it_goes_on(town: Town) -> None:
    endpoint, _, kept = await half_sent(town)
    await town.endpoints.change(town.caller, endpoint, {"state": "paused"}, "we are moving")
    await a_second_later(town, kept)
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1]
    await town.endpoints.change(town.caller, endpoint, {"state": "active"}, "we have moved")
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 2, 3]


async def test_an_endpoint_that_moves_is_sent_the_rest_at_its_new_address(town: Town) -> None:
    endpoint, _, kept = await half_sent(town)
    await town.endpoints.change(town.caller, endpoint, {"url": GATE}, "we move")
    await a_second_later(town, kept)
    assert (town.receivers.numbers(SHOP), town.receivers.numbers(GATE)) == ([1], [2, 3])


async def test_a_secret_that_is_ended_at_once_signs_nothing_from_a_second_later_on(town: Town) -> None:
    endpoint, old, kept = await half_sent(town)
    made = await town.endpoints.rotate(town.caller, town.key(), endpoint, 0, "it leaked")
    assert made is not None
    assert made.secret is not None
    await a_second_later(town, kept)
    first, *later = town.receivers.at(SHOP)
    Webhook(old).verify(first.body, dict(first.headers))
    assert [post.number for post in later] == [2, 3]
    for post in later:
        Webhook(made.secret).verify(post.body, dict(post.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(post.body, dict(post.headers))


async def test_an_endpoint_is_looked_at_once_a_second_and_not_for_every_event(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    still = town.store.still

    async def counted(one: Claimed) -> Claimed | None:
        looks.append(town.passed)
        return await still(one)

    monkeypatch.setattr(town.store, "still", counted)

    async def slowly(_: Post) -> int:
        town.passed += 0.25
        return 204

    await town.endpoint(SHOP)
    town.receivers.answers[SHOP] = slowly
    order = await town.order()
    for n in range(9):
        await town.tell(order, n)
    await town.turn()
    assert town.receivers.numbers(SHOP) == list(range(9))
    assert looks == [1.0, 2.0]


async def test_a_replay_sends_again_what_it_names(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    order = await town.order()
    for n in range(1, 11):
        await town.tell(order, n)
    await town.until_still()
    assert town.receivers.numbers(SHOP) == list(range(1, 11))
    town.receivers.posts.clear()
    assert await town.endpoints.replay(town.caller, town.key(), endpoint, {"from": 3, "to": 5}, "lost them") == 3
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [3, 4, 5]
    town.receivers.posts.clear()
    assert await town.endpoints.replay(town.caller, town.key(), endpoint, {"after": 6}, "lost them") == 4
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [7, 8, 9, 10]
    assert await town.waiting(endpoint) == []


async def test_a_replay_asked_for_while_events_are_being_sent_is_not_forgotten(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    order = await town.order()
    await town.tell(order, 1)
    await town.until_still()
    await town.tell(order, 2)
    kept = Gate()
    town.receivers.answers[SHOP] = kept
    await town.outbox.once()
    await kept.reached.wait()
    await town.endpoints.replay(town.caller, town.key(), endpoint, {"after": 0}, "lost them")
    kept.open.set()
    await town.outbox.finish()
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 2, 1, 2]


async def test_a_replay_leaves_out_nothing_that_was_not_sent_yet(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.endpoints.change(town.caller, endpoint, {"state": "paused"}, "we are moving")
    order = await town.order()
    for n in range(1, 6):
        await town.tell(order, n)
    await town.turn()
    for after in (5, 3):
        await town.endpoints.replay(town.caller, town.key(), endpoint, {"after": after}, "lost them")
    shown = await town.endpoints.get(town.platform, endpoint)
    assert shown is not None
    assert shown.position == 0
    await town.endpoints.change(town.caller, endpoint, {"state": "active"}, "we have moved")
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 2, 3, 4, 5]


async def test_of_two_replays_the_one_that_goes_back_further_holds(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    order = await town.order()
    for n in range(1, 6):
        await town.tell(order, n)
    await town.until_still()
    for after in (2, 4):
        await town.endpoints.replay(town.caller, town.key(), endpoint, {"after": after}, "lost them")
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [1, 2, 3, 4, 5, 3, 4, 5]


async def test_a_paused_endpoint_is_told_nothing_and_all_of_it_afterwards(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    await town.endpoints.change(town.caller, endpoint, {"state": "paused"}, "we are moving")
    for n in range(3):
        await town.tell(await town.order(), n)
    await town.until_still()
    assert town.receivers.posts == []
    await town.endpoints.change(town.caller, endpoint, {"state": "active"}, "we have moved")
    await town.until_still()
    assert sorted(town.receivers.numbers(SHOP)) == [0, 1, 2]


async def test_an_endpoint_of_another_platform_hears_nothing(town: Town) -> None:
    other = Town(town.pool, await type(town.shop).opens(town.pool))
    other.receivers, other.sender, other.endpoints = town.receivers, town.sender, town.endpoints
    await town.endpoint(SHOP)
    await other.endpoint(GATE)
    await other.tell(await other.order(), 7)
    await town.until_still()
    assert town.receivers.at(SHOP) == []
    assert town.receivers.numbers(GATE) == [7]


async def test_slow_endpoints_of_some_platforms_keep_no_other_platform_waiting(town: Town) -> None:
    kept = Gate()
    slow = [town, Town(town.pool, await type(town.shop).opens(town.pool))]
    for number, one in enumerate(slow):
        one.receivers, one.endpoints = town.receivers, town.endpoints
        for each in range(ENDPOINTS_MAX):
            url = f"https://slow.example/{number}/{each}"
            town.receivers.answers[url] = kept
            await one.endpoints.make(one.caller, one.key(), name="slow", url=url, types=None, why="")
        await one.tell(await one.order(), 1)
    for _ in range(3):
        await town.outbox.once()
    assert len(town.outbox.rounds) == 2 * PLATFORM_AT_ONCE
    third = Town(town.pool, await type(town.shop).opens(town.pool))
    third.endpoints = town.endpoints
    await third.endpoint(SHOP)
    await third.tell(await third.order(), 7)
    heard = asyncio.Event()

    async def hears(_: Post) -> int:
        heard.set()
        return 204

    town.receivers.answers[SHOP] = hears
    await town.outbox.once()
    await heard.wait()
    assert not kept.open.is_set()
    kept.open.set()
    await town.outbox.finish()
    await town.until_still()
    assert len(town.receivers.posts) == 2 * ENDPOINTS_MAX + 1


async def test_platforms_take_turns_at_the_last_places(town: Town) -> None:
    towns = [town, *[Town(town.pool, await type(town.shop).opens(town.pool)) for _ in range(2)]]
    for one in towns:
        for each in range(3):
            await one.endpoint(f"https://shop.example/{each}")
        await one.tell(await one.order(), 1)
    await town.pool.fetchval("SELECT outbox_place(100)")

    async def platforms(most: int, held: int) -> list[UUID]:
        """Whose are claimed next, where so many of the first's are held."""
        rows = await town.store.claim(most, LEASE_SECONDS, adapters=(), probes=True, held={town.platform: held}, share=2)
        return sorted(row.platform for row in rows)

    first, second, third = (one.platform for one in towns)
    assert await platforms(2, held=1) == sorted([second, third])
    assert await platforms(9, held=1) == sorted([first, second, second, third, third])
    assert await platforms(9, held=2) == []


class Books:
    """An adapter that takes in, or does not."""

    def __init__(self) -> None:
        self.seen: list[EventTold] = []
        self.fails: Exception | None = None

    async def told(self, event: EventTold) -> None:
        self.seen.append(event)
        if self.fails is not None:
            raise self.fails


async def test_an_adapter_is_told_as_a_webhook_is_and_its_no_is_for_good(town: Town) -> None:
    books = Books()
    town.adapters["pretix"] = books
    endpoint = await town.endpoints.ensure_adapter(town.platform, "pretix", ["order.*"], Change(actor="settings", why="pretix is set up"))
    assert endpoint == await town.endpoints.ensure_adapter(town.platform, "pretix", ["order.*"], Change(actor="settings", why="again"))
    order = await town.order()
    await town.tell(order, 1)
    await town.until_still()
    assert [event.data["about"]["n"] for event in books.seen] == [1]
    books.fails = Declined("unsupported", "order_canceled")
    await town.tell(order, 2)
    await town.until_still()
    assert await town.waiting(endpoint) == [(2, "dead")]
    assert await alerts(town) == ["delivery_given_up"]
    books.fails = OutcomeUnknown("no answer in time")
    await town.tell(order, 3)
    await town.until_still()
    books.fails = None
    await town.pass_seconds(6)
    await town.until_still()
    assert [event.data["about"]["n"] for event in books.seen] == [1, 2, 3, 3]
    assert await town.waiting(endpoint) == [(2, "dead")]


async def test_an_adapter_that_this_process_does_not_have_is_left_to_others(town: Town) -> None:
    endpoint = await town.endpoints.ensure_adapter(town.platform, "pretix", None, Change(actor="settings", why="pretix is set up"))
    await town.tell(await town.order(), 1)
    await town.until_still()
    row = await town.row(endpoint)
    assert (row["position"], row["failures"], row["lease_epoch"]) == (0, 0, 0)


async def test_an_event_that_cannot_be_written_down_holds_up_its_own_order_alone(town: Town) -> None:
    endpoint, _ = await town.endpoint(SHOP)
    order = await town.order()
    await town.pool.execute("SELECT tell($1, $2, NULL, 'refund.sent', '{}'::jsonb, app_now())", town.platform, order)
    await town.tell(await town.order(), 2)
    await town.until_still()
    assert town.receivers.numbers(SHOP) == [2]
    assert len(await town.waiting(endpoint)) == 1


async def alerts(town: Town) -> list[str]:
    """Kinds of the cases that the operations' people have."""
    rows = await town.pool.fetch(
        "SELECT t.kind FROM cases c JOIN timeline t ON t.platform_id = c.platform_id AND t.case_id = c.id"
        " WHERE c.platform_id = $1 AND c.skill = 'operations' AND c.state = 'open' AND t.source = 'operation' AND t.data ? 'ref'"
        " ORDER BY 1",
        town.platform,
    )
    return [row["kind"] for row in rows]
