"""Two sides of a conversation over HTTP: a customer with a proven address, and an agent who has taken the case."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import httpx
import msgspec

from service.demo.world import Bought, bearer
from tests.promises.house import House, stream, uuid_of

_CODE: Final = re.compile(r"\b[0-9]{6}\b")
PNG: Final = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


class Talk(msgspec.Struct, frozen=True, kw_only=True):
    """A case that people have, its customer's session, and who is at the desk."""

    house: House
    case: str
    order: Bought
    customer: str
    agent: str

    async def post(self, path: str, body: Mapping[str, Any], *, token: str | None = None, key: str | None = None) -> httpx.Response:
        return await self.house.post(f"/v1/cases/{self.case}/{path}", body, token=token or self.agent, key=key)

    async def reply(self, body: str, **more: Any) -> Any:
        answer = await self.post("replies", {"body": body, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def says(self, message: str, channel: str = "widget") -> Any:
        answer = await self.post("messages", {"message": message, "channel": channel}, token=self.customer)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def attach(self, content: bytes, *, kind: str = "image/png", name: str = "shot.png", token: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token or self.agent}", "Content-Type": kind}
        return await self.house.client.post(f"/v1/cases/{self.case}/attachments", params={"name": name}, content=content, headers=headers)

    async def attached(self, content: bytes = PNG, **more: Any) -> str:
        answer = await self.attach(content, **more)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    async def file(self, attachment: str, token: str) -> httpx.Response:
        return await self.house.client.get(f"/v1/attachments/{attachment}", headers=bearer(token))

    async def seen_by(self, token: str) -> Any:
        return await self.house.case(self.case, token=token)

    @asynccontextmanager
    async def followed(self, token: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        """The case's stream from now on, as this caller hears it: event and data."""
        last = await self.house.value("SELECT max(seq) FROM timeline WHERE case_id = $1", uuid_of(self.case))
        headers = bearer(token) | {"Last-Event-ID": str(last)}
        async with self.house.client.stream("GET", f"/v1/cases/{self.case}/progress", headers=headers) as answer:
            assert answer.status_code == 200
            yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    event = ""
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "event":
            event = value
        elif name == "data":
            yield event, msgspec.json.decode(value)


async def proven(house: House, email: str) -> str:
    """A session of whoever reads this mailbox."""
    platform = {"Makegood-Platform": house.desk.slug}
    token: str = (await house.client.post("/v1/sessions", headers=platform)).json()["token"]
    sent = await house.client.post("/v1/sessions/codes", json={"email": email}, headers=bearer(token))
    assert sent.status_code < 300, sent.text
    code = _CODE.search((await house.mails.until(email, lambda one: _CODE.search(one.text) is not None)).text)
    assert code is not None
    proved = await house.client.post("/v1/sessions/verify", json={"code": code[0]}, headers=bearer(token))
    assert proved.status_code == 200, proved.text
    return token


async def talk(
    house: House, ref: str, *, channel: str = "widget", take: bool = True, problem: str = "other", locale: str = "en", **order: Any
) -> Talk:
    """A customer with an order of one stream pass and a problem that only people solve."""
    show = await house.shop.show(ref, starts_in=timedelta(days=20))
    bought = await house.shop.order(show, [stream()], email=f"fan-{uuid4().hex[:8]}@example.org", **order)
    customer = await proven(house, bought.email)
    body = {"problem": problem, "order": bought.ref, "show": show, "channel": channel, "message": "something is odd", "locale": locale}
    opened = await house.post("/v1/cases", body, token=customer)
    assert opened.status_code in {200, 201, 202}, opened.text
    case = opened.json()["id"]
    await house.until_case(case, lambda one: one["status"] == "with_people")
    if take:
        taken = await house.post("/v1/queue/take", {"case": case}, token=house.desk.agent)
        assert taken.status_code == 200, taken.text
    return Talk(house=house, case=case, order=bought, customer=customer, agent=house.desk.agent)
