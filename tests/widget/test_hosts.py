"""The widget on pages that make it hard: it works on each, breaks none, and gives a hostile one nothing of anybody else's."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from service.demo.night import AUDIENCE, ISSUER, Night, night_settings, open_night
from service.demo.people import signed_in
from service.demo.world import STREAM, Bought, Item
from service.store import embedded
from service.widget_build import read_build
from tests.console.conftest import browser
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port
from tests.widget.hosts import DIRECTION, HTML, INSIDE, KEPT, LEFT, LOOKS, NATIVE, NONCE, Pages, host_page, looking

__all__ = ["browser"]


# Beside the ports of the other running applications of the tests.
_SAMPLES: Final = Path(__file__).parents[2] / "docs" / "samples" / "widget"
_MESSAGES: Final = Path(__file__).parents[2] / "service" / "ui" / "widget" / "messages"
# What somebody calls a show, and what must stay a name.
NAME: Final = 'Northern <img src=x onerror="window.injected=1"> {{name}} Lights'

# Everything reset, everything huge, everything moved, and a bar above all there is.
RESETS: Final = """
* { all: unset !important; }
*, *::before, *::after { font: 700 44px/1 fantasy !important; color: red !important; background: yellow !important;
  letter-spacing: .5em !important; text-transform: uppercase !important; direction: rtl !important; margin: 9px !important;
  padding: 9px !important; box-sizing: content-box !important;
  text-align: center !important; word-spacing: 2em !important; cursor: none !important; user-select: none !important; visibility: visible; }
makegood-help, body > * { opacity: .4 !important; z-index: 1 !important; max-width: 30px !important; overflow: hidden !important; }
html { font-size: 44px !important; }
header, main, h1, p, form, table { display: block !important; }
button, input, dialog, section, a, svg { display: none !important; width: 1px !important; }
.bar { position: fixed !important; inset: 0 0 auto 0 !important; height: 60px !important; z-index: 2147483647 !important; }
"""
STRICT: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self' {service}; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


class Hosts(msgspec.Struct, frozen=True, kw_only=True):
    """A platform, the pages that may embed its widget, and pages that may not."""

    night: Night
    own: Pages
    foreign: Pages

    async def customer(self) -> tuple[Bought, str]:
        """Somebody who was charged twice, and the token that says who they are."""
        ref = uuid4().hex[:8].upper()
        item = Item(kind=STREAM, name="Stream", price=2500)
        bought = await self.night.shop.order("hosts", (item,), ref=ref, customer_ref=f"c-{ref}", charges=2)
        return bought, signed_in(self.night.signing_secret, subject=f"c-{ref}", issuer=ISSUER, audience=AUDIENCE)

    async def sessions(self) -> int:
        count: int = await self.night.pool.fetchval("SELECT count(*) FROM session")
        return count

    async def refunded(self, bought: Bought) -> list[int]:
        rows = await self.night.pool.fetch(
            "SELECT o.amount FROM operation AS o JOIN orders AS t ON t.platform_id = o.platform_id AND t.id = o.order_id"
            " WHERE t.ref = $1 AND o.action = 'refund'",
            bought.ref,
        )
        return [row["amount"] for row in rows]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hosts(postgres_dsn: str, template_database: str) -> AsyncIterator[Hosts]:
    if read_build() is None:
        pytest.skip("the widget has not been built: run make setup")
    run = uuid4().hex[:12]
    database = await embedded.create_database(postgres_dsn, f"hosts_{run}", template=template_database)
    sandbox = await embedded.create_database(postgres_dsn, f"hosts_{run}_sandbox")
    port = free_port()
    settings = night_settings(database_url=database, sandbox_database_url=sandbox, port=port)
    async with Pages().serving() as own, Pages().serving() as foreign:
        platform = {"name": "Northern Lights", "languages": ["en", "ar"], "origins": [own.origin]}
        async with open_night(settings, platform=platform) as night:
            await night.shop.show("hosts", starts_in=timedelta(minutes=-40), name={"en": NAME, "ar": NAME})
            yield Hosts(night=night, own=own, foreign=foreign)
    for name in (f"hosts_{run}", f"hosts_{run}_sandbox"):
        await embedded.drop_database(postgres_dsn, name)


def words(language: str) -> Mapping[str, str]:
    found = json.loads((_MESSAGES / f"{language}.json").read_text(encoding="utf-8"))
    return {**found["first"], **found["rest"]}


def starting(words: str) -> re.Pattern[str]:
    """A text as far as its first gap."""
    return re.compile(re.escape(words.partition("{")[0].strip()))


async def opened(page: Page, language: str = "en") -> Locator:
    """The widget, as far as what is wrong with the customer's order."""
    say = words(language)
    await page.get_by_role("button", name=starting(say["launcher"])).click()
    row = page.get_by_role("button", name=starting(say["l_charged_twice"]))
    await expect(row).to_be_visible()
    return row


async def gets_money_back(page: Page, language: str = "en") -> None:
    """From the launcher to what was sent: what any customer does."""
    say = words(language)
    await (await opened(page, language)).click()
    await page.get_by_role("button", name=starting(say["b_refund"])).click()
    await expect(page.get_by_text(re.compile(re.escape(say["proof"]))).first).to_be_visible()


async def compare(hosts: Hosts, browser: Browser, *, language: str = "en", headers: Mapping[str, str] | None = None, **page: Any) -> None:
    """Does it all on a page of the host, which afterwards is as it was without; and the widget looks as it does anywhere."""
    bought, hosts.own.token = await hosts.customer()
    address, say, path = hosts.night.address, words(language), f"/{uuid4().hex}"
    usual = hosts.own.put(f"{path}/usual", host_page(address, show="hosts", html=page.get("html", HTML)))
    bare = hosts.own.put(f"{path}/bare", host_page(address, show="hosts", with_widget=False, **page), headers)
    hard = hosts.own.put(path, host_page(address, show="hosts", **page), headers)
    async with looking(browser) as seen:
        launcher = seen.page.get_by_role("button", name=starting(say["launcher"]))
        await seen.page.goto(usual)
        await opened(seen.page, language)
        inside = await seen.page.evaluate(INSIDE)
        await seen.page.keyboard.press("Escape")  # what is open opens again on the next page
        await seen.page.goto(bare)
        expected = await seen.page.evaluate(LOOKS)
        await seen.page.goto(hard)
        pages = await seen.page.evaluate("history.length")
        await expect(launcher).to_be_visible()
        assert await seen.page.evaluate(LOOKS) == expected
        await opened(seen.page, language)
        assert await seen.page.evaluate(INSIDE) == inside
        await seen.page.keyboard.press("Escape")
        await gets_money_back(seen.page, language)
        assert await hosts.refunded(bought) == [2500]
        assert await seen.page.evaluate(DIRECTION) == ("rtl" if language == "ar" else "ltr")
        # what is open stands above whatever the host has put on top of everything
        box = await seen.page.locator("makegood-help [part=dialog]").bounding_box()
        assert box is not None
        on_top = f"document.elementFromPoint({box['x'] + box['width'] / 2}, {box['y'] + 30}).tagName"
        assert await seen.page.evaluate(on_top) == "MAKEGOOD-HELP"
        await seen.page.keyboard.press("Escape")
        await expect(seen.page.locator("makegood-help [part=body]")).to_have_count(0)
        assert await seen.page.evaluate(LOOKS) == expected
        assert await seen.page.evaluate("[scrollX, scrollY, location.hash, document.title, document.cookie]") == [0, 0, "", "A show", ""]
        assert await seen.page.evaluate("[window.forbidden, window.injected, history.length]") == [[], None, pages]
        assert await seen.page.evaluate(LEFT) in ([], ["Symbol(makegood)"])
        assert await seen.page.evaluate(NATIVE) == 0
        assert await seen.page.evaluate(KEPT) == []
        assert seen.wrong == []
        assert seen.origins() == {hosts.own.origin, address}


# ------------------------------------------------------------------------------------------- hosts that make it hard


async def test_where_every_style_is_reset_and_everything_is_on_top(hosts: Hosts, browser: Browser) -> None:
    await compare(hosts, browser, style=RESETS)


async def test_where_a_strict_policy_lets_nothing_in_but_by_nonce(hosts: Hosts, browser: Browser) -> None:
    policy = STRICT.format(nonce=NONCE, service=hosts.night.address)
    headers = {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Embedder-Policy": "require-corp",
    }
    await compare(hosts, browser, headers=headers)


async def test_where_everything_runs_from_right_to_left(hosts: Hosts, browser: Browser) -> None:
    await compare(hosts, browser, language="ar", html='lang="ar" dir="rtl"')


async def test_the_hosts_keys_and_focus_stay_its_own(hosts: Hosts, browser: Browser) -> None:
    hosts.own.token = None
    async with looking(browser) as seen:
        page = seen.page
        await page.goto(hosts.own.put("/keys", host_page(hosts.night.address, show="hosts")))
        await page.evaluate("customElements.whenDefined('makegood-help').then(() => play.onclick = () => help.open())")
        await page.locator("#play").click()
        field = page.get_by_role("textbox", name=words("en")["email"])
        await field.fill("")
        await field.press_sequentially("a k")
        assert await page.evaluate("window.keys") == []
        await page.keyboard.press("Escape")
        await expect(page.locator("#play")).to_be_focused()


# ----------------------------------------------------------------------------------------------- hosts that mean harm

# Whatever a script can reach from the element without going through a node of the shadow, which is closed.
_REACH: Final = """() => {
  const found = [], seen = new Set([window, document]);
  const walk = (thing, path) => {
    if (thing === null || !['object', 'function'].includes(typeof thing) || seen.has(thing) || path.length > 7) return;
    if (thing instanceof Node && path.length > 1) return;
    seen.add(thing);
    for (let at = thing; at && at !== HTMLElement.prototype && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
      for (const key of Reflect.ownKeys(at)) {
        let value;
        try { value = thing[key]; } catch { continue; }
        if (typeof value === 'string' && /mgs_|eyJ/.test(value)) found.push([...path, String(key)].join('.'));
        walk(value, [...path, String(key)]);
      }
    }
  };
  walk(document.querySelector('makegood-help'), ['help']);
  walk(window[Symbol.for('makegood')], ['shared']);
  const markup = document.documentElement.outerHTML;
  const kept = JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href, document.cookie, markup]);
  if (/mgs_|eyJ/.test(kept)) found.push('what is kept');
  return found;
}"""


async def test_a_script_of_the_host_comes_across_no_token(hosts: Hosts, browser: Browser) -> None:
    hosts.own.token = None
    async with looking(browser) as seen:
        page, say = seen.page, words("en")
        await page.goto(hosts.own.put("/reach", host_page(hosts.night.address, show="hosts")))
        launcher = page.get_by_role("button", name=starting(say["launcher"]))
        await expect(launcher).to_be_visible()
        # what analytics do once a page is there
        await page.evaluate(
            "const real = window.fetch; window.told = []; window.fetch = (...all) => { window.told.push(all); return real(...all); }; 0"
        )
        await launcher.click()
        await page.get_by_role("textbox", name=say["email"]).fill("nobody@example.org")
        await page.get_by_role("button", name=say["send_code"]).click()
        await expect(page.get_by_role("textbox", name=say["code_label"])).to_be_visible()
        assert any(one.startswith("mgs_") for one in seen.tokens())
        assert await page.evaluate(_REACH) == []
        told = await page.evaluate("JSON.stringify(window.told)")
        assert "/makegood-token" in told
        assert not {one for one in ("/v1/", "mgs_", "nobody@") if one in told}
        assert set(await page.evaluate("window.shadows")) == {"closed"}


async def test_what_a_host_adds_to_every_object_changes_nothing_that_is_asked(hosts: Hosts, browser: Browser) -> None:
    _, token = await hosts.customer()
    hosts.own.token = token
    polluted = {
        "token": "evil.evil.evil",
        "Authorization": "Bearer evil",
        "platform": "evil",
        "service": hosts.foreign.origin,
        "case": "case_evil",
    }
    head = "".join(f"Object.prototype[{json.dumps(name)}] = {json.dumps(value)};" for name, value in polluted.items())
    async with looking(browser) as seen:
        await seen.page.goto(hosts.own.put("/polluted", host_page(hosts.night.address, show="hosts", head=head)))
        await opened(seen.page)
        assert seen.tokens() == {token}
        assert seen.origins() == {hosts.own.origin, hosts.night.address}
        assert {one.headers.get("makegood-platform") for one in seen.requests if "/v1/" in one.url} == {"demo"}


async def test_markup_of_a_hosts_visitors_does_not_say_where_the_service_is(hosts: Hosts, browser: Browser) -> None:
    """What is named on a page stands before what the document itself has under that name."""
    _, token = await hosts.customer()
    names = ("currentScript", "documentElement", "head", "body", "activeElement")
    comment = "".join(f'<img name="{name}" src="{hosts.foreign.origin}/pixel.png" alt="">' for name in names)
    line = f'<script src="{hosts.night.address}/widget/v1.js" data-platform="demo" data-show="hosts" data-token="{token}" async></script>'
    page = f'<!doctype html><html lang="en"><title>A show</title><body><p>{comment}</p>{line}</body></html>'
    async with looking(browser) as seen:
        await seen.page.goto(hosts.own.put("/comments", page))
        await gets_money_back(seen.page)
        told = {urlsplit(one.url).path for one in seen.requests if one.url.startswith(hosts.foreign.origin)}
        assert told == {"/pixel.png"}
        assert seen.wrong == []


async def test_a_page_that_the_platform_has_not_named_gets_nothing(hosts: Hosts, browser: Browser) -> None:
    before = await hosts.sessions()
    _, hosts.foreign.token = await hosts.customer()
    async with looking(browser) as seen:
        page = seen.page
        await page.goto(hosts.foreign.put("/", host_page(hosts.night.address, show="hosts")))
        async with page.expect_event("requestfailed", lambda one: "/v1/" in one.url):
            await page.evaluate("customElements.whenDefined('makegood-help').then(() => help.open())")
        read = "(path, method) => fetch(path, { method, headers: { 'Makegood-Platform': 'demo' } }).then(() => 'read', () => 'refused')"
        for path, method in (("/v1/help", "GET"), ("/v1/sessions", "POST"), ("/v1/help/orders", "GET")):
            assert await page.evaluate(f"([path, method]) => ({read})(path, method)", [f"{hosts.night.address}{path}", method]) == "refused"
    assert await hosts.sessions() == before


_ATTACK: Final = """<script>
let said = 0;
setInterval(() => {
  parent.frames[0].postMessage({ type: "makegood:token", token: "evil.evil.evil" }, "*");
  if ((said += 1) === 5) parent.postMessage("attacked", "*");
}, 10);
</script>"""
_FRAMES: Final = """<!doctype html><title>Frames</title>
<iframe src="{service}/help/demo?show=hosts" width="400" height="700"></iframe><iframe src="{foreign}/attack"></iframe>
<script>
const attacked = new Promise((resolve) => addEventListener("message", (event) => event.data === "attacked" && resolve()));
addEventListener("message", async (event) => {{
  if (event.origin !== "{service}" || event.data?.type !== "makegood:token") return;
  await attacked;
  const {{ token }} = await (await fetch("/makegood-token")).json();
  event.source.postMessage({{ type: "makegood:token", token }}, event.origin);
}});
</script>"""


async def test_the_help_page_believes_the_platforms_page_and_no_other_frame(hosts: Hosts, browser: Browser) -> None:
    _, token = await hosts.customer()
    hosts.own.token = token
    hosts.foreign.put("/attack", _ATTACK)
    async with looking(browser) as seen:
        await seen.page.goto(hosts.own.put("/frames", _FRAMES.format(service=hosts.night.address, foreign=hosts.foreign.origin)))
        frame = seen.page.frame_locator("iframe").first
        await expect(frame.get_by_role("button", name=starting(words("en")["l_charged_twice"]))).to_be_visible()
        assert seen.tokens() == {token}


async def test_nobody_elses_page_can_put_the_help_page_under_a_click(hosts: Hosts, browser: Browser) -> None:
    page = f'<!doctype html><title>Win!</title><iframe src="{hosts.night.address}/help/demo" style="opacity: .01"></iframe>'
    async with looking(browser) as seen:
        await seen.page.goto(hosts.foreign.put("/win", page), wait_until="load")
        (frame,) = seen.page.main_frame.child_frames
        assert await frame.evaluate("[location.protocol, document.querySelector('makegood-help')]") == ["chrome-error:", None]


async def test_the_help_page_stands_under_its_own_policy(hosts: Hosts, browser: Browser) -> None:
    """Alone, as from a letter: nothing of it is forbidden, nobody else is asked, and nothing of the case shows before a proof."""
    case = f"case_{uuid4().hex}"
    async with looking(browser, size=(390, 844)) as seen:
        await seen.page.goto(f"{hosts.night.address}/help/demo/{case}")
        await expect(seen.page.get_by_role("textbox", name=words("en")["email"])).to_be_visible()
        assert await seen.page.evaluate("window.forbidden") == []
        assert seen.wrong == []
        assert seen.origins() == {hosts.night.address}


# ------------------------------------------------------------------------------------------------------- what docs show


async def test_the_page_that_the_docs_show_works(hosts: Hosts, browser: Browser) -> None:
    sample = (_SAMPLES / "host.html").read_text()
    names: dict[str, Any] = {
        "http://127.0.0.1:8080": hosts.night.address,
        'platform="northern"': 'platform="demo"',
        'show="nll26"': 'show="hosts"',
    }
    for shown, here in names.items():
        assert shown in sample
        sample = sample.replace(shown, here)
    _, hosts.own.token = await hosts.customer()
    async with looking(browser) as seen:
        await seen.page.goto(hosts.own.put("/sample", sample))
        await seen.page.locator("#help").click()
        await expect(seen.page.get_by_role("button", name=starting(words("en")["l_charged_twice"]))).to_be_visible()
        assert seen.tokens() == {hosts.own.token}
        assert seen.wrong == []


def bridge(app: str) -> tuple[str, str]:
    """How the page reaches the app, and the script with which the app's sample hands a token over."""
    if app == "ios":
        script = re.search(r'"(window\.postMessage\(.*\))"', (_SAMPLES / "ios.swift").read_text())
        assert script is not None
        return "window.webkit = { messageHandlers: { makegood: { postMessage: (said) => heard(said) } } };", f"(token) => {{ {script[1]} }}"
    script = re.search(r'evaluateJavascript\("(.*)", null\)', (_SAMPLES / "android.kt").read_text())
    assert script is not None
    given = script[1].replace("${JSONObject.quote(token)}", "token")
    return "window.makegoodHost = { postMessage: (text) => heard(JSON.parse(text)) };", f"(token) => {{ {given} }}"


@pytest.mark.parametrize("app", ["ios", "android"])
async def test_an_apps_web_view_hands_its_customer_over_as_the_samples_do(hosts: Hosts, browser: Browser, app: str) -> None:
    _, token = await hosts.customer()
    holder, gives = bridge(app)
    asked = asyncio.Event()
    async with looking(browser, size=(390, 844), script=holder) as seen:
        await seen.page.expose_function("heard", lambda said: asked.set() if said == {"type": "token"} else None)
        await seen.page.goto(f"{hosts.night.address}/help/demo?show=hosts")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asked.wait()
        await seen.page.evaluate(gives, token)
        await expect(seen.page.get_by_role("button", name=starting(words("en")["l_charged_twice"]))).to_be_visible()
        assert seen.tokens() == {token}
        assert token not in seen.page.url


async def test_an_app_whose_customer_changes_says_so_to_the_help_page(hosts: Hosts, browser: Browser) -> None:
    """Unasked, while the page is open: what is shown is the next one's, and a guest sees nothing of either."""
    (one, first), (other, second) = await hosts.customer(), await hosts.customer()
    holder, gives = bridge("android")
    asks = f"const heard = (said) => {{ if (said.type === 'token' && window.token !== undefined) ({gives})(window.token); }}; "
    async with looking(browser, size=(390, 844), script=f"{asks}window.token = {json.dumps(first)};{holder}") as seen:
        page = seen.page
        await page.goto(f"{hosts.night.address}/help/demo?show=hosts")
        await expect(page.get_by_text(f"Order {one.ref}")).to_be_visible()
        await page.evaluate(f"(token) => {{ window.token = token; ({gives})(token); }}", second)
        await expect(page.get_by_text(f"Order {other.ref}")).to_be_visible()
        await expect(page.get_by_text(f"Order {one.ref}")).to_have_count(0)
        await page.evaluate(f"(token) => {{ window.token = token; ({gives})(token); }}", "")
        await expect(page.get_by_role("textbox", name=words("en")["email"])).to_be_visible()
        await expect(page.get_by_text(f"Order {other.ref}")).to_have_count(0)
