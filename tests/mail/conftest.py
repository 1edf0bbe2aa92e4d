from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.mail.offices import Office, SandboxOffice, SmtpOffice, smtp_mailer, smtp_server


@pytest.fixture(params=["sandbox", "smtp"])
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    if request.param == "sandbox":
        yield SandboxOffice()
        return
    async with smtp_server(enable_SMTPUTF8=True) as server, smtp_mailer(server) as mailer:
        yield SmtpOffice(server, mailer)
