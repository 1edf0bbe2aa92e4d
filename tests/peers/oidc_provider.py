"""Runs npm's oidc-provider as a process of its own, and signs people in at it as a browser would: pages, forms, cookies, redirects."""

from __future__ import annotations

import html
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urljoin

import httpx
import msgspec

from tests.patience import PATIENCE_SECONDS
from tests.peers import stateful_mock

VERSION: Final = "9.13.3"
_STOP_SECONDS_MAX: Final = 10  # it has nothing to finish
_STEPS_MAX: Final = 12  # two forms and the redirects between them

_ACTION: Final = re.compile(r'<form[^>]* action="([^"]+)"')
_PROMPT: Final = re.compile(r'name="prompt" value="([a-z]+)"')


@contextmanager
def running(client: Mapping[str, Any], people: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """The issuer of a fresh provider that knows one client and these people: name -> claims."""
    stateful_mock.install("oidc-provider", VERSION)
    config = msgspec.json.encode({"client": client, "people": people}).decode()
    command = [str(stateful_mock.NODE), str(stateful_mock.HERE / "start_oidc_provider.mjs"), config]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


async def sign_in(address: str, *, name: str, back: str) -> str:
    """Follows the way to the provider, signs in there, agrees, and returns the address below `back` that it sends the browser to."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE_SECONDS) as browser:
        answer = await browser.get(address)
        for _ in range(_STEPS_MAX):
            if answer.is_redirect:
                address = urljoin(str(answer.url), answer.headers["location"])
                if address.startswith(back):
                    return address
                answer = await browser.get(address)
                continue
            action, prompt = _ACTION.search(answer.text), _PROMPT.search(answer.text)
            assert action is not None, answer.text
            assert prompt is not None, answer.text
            form = {"prompt": prompt[1], "login": name, "password": "any will do"}
            answer = await browser.post(urljoin(str(answer.url), html.unescape(action[1])), data=form)
    raise AssertionError("the provider never sent the browser back")
