"""The way to a platform's provider is open to anyone, so it is counted by address; and the contract says what the console's cookie is."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from service.api.contract import contract
from service.limits import Limits
from service.store.pool import Pool
from tests.desk.console import Office, browsing, installation, open_office

MOST, _ = Limits().sign_ins_per_client


@pytest.fixture
async def office(fresh_database_url: str, still_pool: Pool) -> AsyncIterator[Office]:
    """Time stands still: an address has so many in each ten minutes of the clock, and they do not end between two requests."""
    del still_pool
    async with installation(fresh_database_url) as app:
        yield await open_office(app)


async def _start(browser: httpx.AsyncClient, office: Office) -> httpx.Response:
    return await browser.get("/desk/oidc/start", params={"platform": office.slug})


async def test_one_address_begins_so_many_sign_ins_and_waits_then(office: Office) -> None:
    async with browsing(office.app, page=None) as browser:
        for _ in range(MOST):
            assert (await _start(browser, office)).status_code == 303
        refused = await _start(browser, office)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:makegood:problem:too_many_requests")
        assert 0 < int(refused.headers["retry-after"]) <= 600
        other = await open_office(office.app)
        assert (await _start(browser, other)).status_code == 303, "another platform's people are not kept out"
        await office.pool.execute("UPDATE app_clock SET ahead = ahead + interval '11 minutes'")
        assert (await _start(browser, office)).status_code == 303
    buckets = await office.pool.fetch("SELECT bucket FROM rate WHERE bucket LIKE 'sign-in-client:%'")
    assert buckets
    assert all("127.0.0.1" not in one["bucket"] for one in buckets), "no list of addresses"


async def test_the_contract_has_the_consoles_cookie_for_what_agents_may_do(office: Office) -> None:
    document = contract(office.app.http)
    scheme = document["components"]["securitySchemes"]["console"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "makegood_desk")
    assert {"console": []} in document["paths"]["/v1/queue"]["get"]["security"]
    assert {"console": []} not in document["paths"]["/v1/sessions"]["post"].get("security", [])
