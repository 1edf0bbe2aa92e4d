from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.settings import (
    NEEDED_TO_SERVE,
    PAYOUT_KINDS,
    RAIL_KINDS,
    SANDBOX_KINDS,
    Rail,
    Secret,
    Settings,
    SettingsError,
    embedded_secret,
    is_sandbox_only,
    load,
    overrides,
)

SECRET = "0123456789abcdef0123456789abcdef"
FULL = {"MAKEGOOD_DATABASE_URL": "postgresql://u:pw@db/makegood", "MAKEGOOD_SECRET": SECRET}


def mistakes_of(environment: Mapping[str, str], *needed: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environment, needed=needed)
    return str(caught.value)


def config(folder: Path, text: str) -> dict[str, str]:
    path = folder / "makegood.toml"
    path.write_text(text)
    return {"MAKEGOOD_CONFIG": str(path)}


def test_nothing_set_is_a_valid_start_for_everything_that_does_not_serve() -> None:
    settings = load({"HOME": "/somewhere", "PATH": "/bin"})
    assert (settings.bind_host, settings.bind_port, settings.public_url) == ("127.0.0.1", 8080, "http://127.0.0.1:8080")
    assert (settings.data, settings.languages, settings.smtp, settings.rails) == (Path(".data"), ("en",), None, ())


def test_serving_needs_a_database_and_a_secret() -> None:
    said = mistakes_of({}, *NEEDED_TO_SERVE)
    assert "MAKEGOOD_DATABASE_URL is not set" in said
    assert "MAKEGOOD_SECRET is not set" in said
    assert load(FULL, needed=NEEDED_TO_SERVE).secret == Secret(SECRET)


def test_all_mistakes_are_named_at_once() -> None:
    said = mistakes_of(
        {
            "MAKEGOOD_DATABASE_URL": "mysql://u@h/d",
            "MAKEGOOD_SECRET": "short",
            "MAKEGOOD_BIND": "nowhere",
            "MAKEGOOD_PROCESSES": "many",
            "MAKEGOOD_POOL_SIZE": "1",
            "MAKEGOOD_PUBLIC_URL": "help.example.com",
            "MAKEGOOD_LOG_FORMAT": "jsn",
            "MAKEGOOD_POLICIES": "/does/not/exist",
            "MAKEGOOD_LANGUAGES": "en,Deutsch!",
            "MAKEGOOD_SMTP_HOST": "mail.example.com",
            "MAKEGOOD_SMTP_USER": "makegood",
            "MAKEGOOD_RAIL_MAIN_KIND": "strip",
            "MAKEGOOD_POOLSIZE": "3",
        }
    )
    for part in (
        "MAKEGOOD_DATABASE_URL must be an address like postgresql://",
        "MAKEGOOD_SECRET must be random and at least 32 bytes",
        "MAKEGOOD_BIND must be host:port, not 'nowhere'",
        "MAKEGOOD_PROCESSES must be a whole number from 1 to 128, not 'many'",
        "MAKEGOOD_POOL_SIZE must be a whole number from 2 to 200",
        "MAKEGOOD_PUBLIC_URL must be an address",
        "MAKEGOOD_LOG_FORMAT must be one of json, console, not 'jsn': did you mean json?",
        "MAKEGOOD_POLICIES must be a folder",
        "MAKEGOOD_LANGUAGES must be language tags",
        "MAKEGOOD_SMTP_SENDER is needed with SMTP_HOST",
        "MAKEGOOD_SMTP_USER and MAKEGOOD_SMTP_PASSWORD go together",
        "not 'strip': did you mean stripe?",
        "MAKEGOOD_POOLSIZE means nothing here: did you mean MAKEGOOD_POOL_SIZE?",
    ):
        assert part in said, part
    assert said.count("  * ") == 13


@pytest.mark.parametrize(
    "name",
    [
        "DATABASE_URL",
        "SECRET",
        "SANDBOX_DATABASE_URL",
        "RAIL_MAIN_API_KEY",
        "RAIL_MAIN_CLIENT_SECRET",
        "RAIL_MAIN_DATABASE_URL",
        "RAIL_MAIN_WEBHOOK_SECRETS",
        "SMTP_PASSWORD",
    ],
)
def test_no_secret_is_printed_neither_right_nor_wrong(name: str) -> None:
    for kind in ("?", *RAIL_KINDS):
        wrong = mistakes_of({f"MAKEGOOD_{name}": "hunter2 hunter2", "MAKEGOOD_RAIL_MAIN_KIND": kind, "MAKEGOOD_SMTP_PORT": "?"})
        assert "hunter2" not in wrong
    long = "postgresql://u:hunter2@h/hunter2hunter2hunter2hunter2"
    rails = {
        "RAIL_MAIN_KIND": "stripe",
        "RAIL_MAIN_API_KEY": long,
        "RAIL_MAIN_WEBHOOK_SECRETS": long,
        "RAIL_OUT_KIND": "paypal_payout",
        "RAIL_OUT_CLIENT_ID": "us",
        "RAIL_OUT_CLIENT_SECRET": long,
        "RAIL_PLAY_KIND": "sandbox",
        "RAIL_PLAY_DATABASE_URL": long,
    }
    smtp = {"SMTP_HOST": "h", "SMTP_SENDER": "a@b", "SMTP_USER": "u", "SMTP_PASSWORD": long}
    own = {name: long for name in (name,) if not name.startswith("RAIL_")}
    right = load({f"MAKEGOOD_{name}": value for name, value in (rails | smtp | own).items()})
    assert "hunter2" not in f"{right!r} {right} {right.secret:} {[right.database_url]} {right.rails}"


def test_a_secret_of_one_letter_is_refused() -> None:
    assert "must be random" in mistakes_of({"MAKEGOOD_SECRET": "x" * 64})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    environment = config(tmp_path, 'pool_size = 7\nprocesses = 2\nlanguages = ["de", "en"]\n')
    settings = load(environment | {"MAKEGOOD_POOL_SIZE": "9"})
    assert (settings.pool_size, settings.processes, settings.languages) == (9, 2, ("de", "en"))


def test_rails_and_mail_are_tables_in_the_file_and_variables_outside(tmp_path: Path) -> None:
    environment = config(
        tmp_path,
        """
        [rails.eu_main]
        kind = "stripe"
        base_url = "http://127.0.0.1:1234/"
        [rails.test]
        kind = "sandbox"
        database_url = "postgresql://u@h/sandbox"
        [smtp]
        host = "mail.example.com"
        sender = "Help <help@example.com>"
        """,
    )
    settings = load(environment | {"MAKEGOOD_RAIL_EU_MAIN_API_KEY": "sk_1"})
    stripe, sandbox = settings.rails
    assert (stripe.name, stripe.kind, stripe.base_url, stripe.api_key) == ("eu_main", "stripe", "http://127.0.0.1:1234", Secret("sk_1"))
    assert (sandbox.name, sandbox.kind, sandbox.database_url) == ("test", "sandbox", Secret("postgresql://u@h/sandbox"))
    assert settings.smtp is not None
    assert (settings.smtp.host, settings.smtp.port, settings.smtp.tls) == ("mail.example.com", 587, "starttls")


def test_a_stripe_rail_needs_its_key() -> None:
    assert "MAKEGOOD_RAIL_MAIN_API_KEY is not set" in mistakes_of({"MAKEGOOD_RAIL_MAIN_KIND": "stripe"})


ADYEN = {"KIND": "adyen", "API_KEY": "k", "MERCHANT_ACCOUNT": "Moonlight", "BASE_URL": "https://x-checkout.adyen.example"}
PAYPAL = {"KIND": "paypal_payout", "CLIENT_ID": "us", "CLIENT_SECRET": "s"}
HEX = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
WHSEC = "whsec_1234567890"


def rail(values: Mapping[str, str]) -> dict[str, str]:
    return {f"MAKEGOOD_RAIL_OURS_{name}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("stripe", ("API_KEY",)),
        ("adyen", ("API_KEY", "MERCHANT_ACCOUNT", "BASE_URL")),
        ("paypal_payout", ("CLIENT_ID", "CLIENT_SECRET")),
        ("store_credit", ("API_KEY", "BASE_URL")),
        ("sandbox", ()),
        ("sandbox_payout", ()),
    ],
)
def test_each_kind_of_rail_names_all_that_it_needs(kind: str, missing: tuple[str, ...]) -> None:
    if not missing:
        assert load(rail({"KIND": kind})).rails == (Rail(name="ours", kind=kind),)
        return
    said = mistakes_of(rail({"KIND": kind}))
    assert sorted(said.split("\n  * ")[1:]) == sorted(f"MAKEGOOD_RAIL_OURS_{name} is not set" for name in missing)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({**PAYPAL, "MERCHANT_ACCOUNT": "x"}, "MERCHANT_ACCOUNT means nothing to a rail of kind paypal_payout"),
        ({**PAYPAL, "WEBHOOK_SECRETS": WHSEC}, "WEBHOOK_SECRETS means nothing to a rail of kind paypal_payout"),
        ({**PAYPAL, "WEBHOOK_IDS": "1AB/../2"}, "WEBHOOK_IDS must be letters and digits each, by commas"),
        ({**ADYEN, "BASE_URL": "http://adyen.example"}, "BASE_URL has to start with https://"),
        ({**ADYEN, "REVERSE_TRANSFER": "yes"}, "REVERSE_TRANSFER means nothing to a rail of kind adyen"),
        ({**ADYEN, "DATABASE_URL": "postgresql://u@h/d"}, "DATABASE_URL means nothing to a rail of kind adyen"),
        ({**ADYEN, "WEBHOOK_SECRETS": WHSEC}, "WEBHOOK_SECRETS must be hex keys of at least 16 bytes, by commas"),
        ({**ADYEN, "WEBHOOK_SECRETS": f"{HEX},{HEX}"}, "WEBHOOK_SECRETS must be at most 3 different ones by commas"),
        ({**ADYEN, "WEBHOOK_SECRETS": f"{HEX},"}, "WEBHOOK_SECRETS must be at most 3 different ones by commas"),
        ({"KIND": "sandbox", "WEBHOOK_SECRETS": "short"}, "WEBHOOK_SECRETS must be at least 16 characters each, by commas"),
        ({"KIND": "sandbox", "PACE": "0"}, "PACE must be a number from 0.1 to 1000, not '0'"),
        ({"KIND": "sandbox", "PACE": "nan"}, "PACE must be a number from 0.1 to 1000, not 'nan'"),
        ({"KIND": "stripe", "API_KEY": "k", "REVERSE_TRANSFER": "true"}, "REVERSE_TRANSFER must be one of yes, no, not 'true'"),
    ],
)
def test_a_setting_that_a_rail_would_leave_aside_or_cannot_use_is_refused(values: Mapping[str, str], field: str) -> None:
    said = mistakes_of(rail(values))
    assert f"MAKEGOOD_RAIL_OURS_{field}" in said
    assert said.count("  * ") == 1


def test_a_rail_keeps_what_it_was_told() -> None:
    adyen = load(rail({**ADYEN, "WEBHOOK_SECRETS": f"{HEX}, {'ab' * 32}", "PACE": "12.5"})).rails[0]
    assert (adyen.merchant_account, adyen.webhook_secrets, adyen.pace) == ("Moonlight", (Secret(HEX), Secret("ab" * 32)), 12.5)
    paypal = load(rail({**PAYPAL, "WEBHOOK_IDS": "1AB,2CD"})).rails[0]
    assert (paypal.client_id, paypal.client_secret, paypal.webhook_ids) == ("us", Secret("s"), ("1AB", "2CD"))
    stripe = load(rail({"KIND": "stripe", "API_KEY": "k", "REVERSE_TRANSFER": "yes", "REFUND_APPLICATION_FEE": "no"})).rails[0]
    assert (stripe.reverse_transfer, stripe.refund_application_fee) == (True, False)


def test_a_webhook_is_off_until_somebody_can_sign_for_it() -> None:
    assert not load(rail(ADYEN)).rails[0].has_webhook
    assert load(rail({**ADYEN, "WEBHOOK_SECRETS": HEX})).rails[0].has_webhook
    assert load(rail({**PAYPAL, "WEBHOOK_IDS": "1AB"})).rails[0].has_webhook


def test_only_play_money_is_a_sandbox() -> None:
    assert is_sandbox_only(load(rail({"KIND": "sandbox_payout"})))
    assert not is_sandbox_only(load(rail({"KIND": "sandbox"}) | {"MAKEGOOD_RAIL_REAL_KIND": "stripe", "MAKEGOOD_RAIL_REAL_API_KEY": "k"}))
    assert RAIL_KINDS.keys() >= SANDBOX_KINDS
    assert RAIL_KINDS.keys() >= PAYOUT_KINDS


def test_a_sandbox_rail_needs_a_ledger_when_we_serve() -> None:
    environment = FULL | {"MAKEGOOD_RAIL_TEST_KIND": "sandbox"}
    assert "MAKEGOOD_SANDBOX_DATABASE_URL is needed" in mistakes_of(environment, *NEEDED_TO_SERVE)
    load(environment)
    load(environment | {"MAKEGOOD_SANDBOX_DATABASE_URL": "postgresql://u@h/s"}, needed=NEEDED_TO_SERVE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pool_size = [", "MAKEGOOD_CONFIG is no TOML"),
        ("pool_size = true", "MAKEGOOD_POOL_SIZE must be text or a number"),
        ("pool_size = 1.5", "MAKEGOOD_POOL_SIZE must be text or a number"),
        ("colour = 'red'", "MAKEGOOD_COLOUR means nothing here"),
        ("[rails.main]\nkind = 'stripe'\napi_key = 'k'\nbase_ulr = 'x'", "MAKEGOOD_RAIL_MAIN_BASE_ULR means nothing here: did you mean"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, said: str) -> None:
    assert said in mistakes_of(config(tmp_path, text))


def test_a_file_that_is_not_there_is_a_mistake() -> None:
    assert "MAKEGOOD_CONFIG cannot be read" in mistakes_of({"MAKEGOOD_CONFIG": "/does/not/exist.toml"})


def test_a_password_does_not_travel_in_the_clear() -> None:
    smtp = {"SMTP_TLS": "none", "SMTP_USER": "u", "SMTP_PASSWORD": "p", "SMTP_SENDER": "a@example.com"}
    environment = {f"MAKEGOOD_{name}": value for name, value in smtp.items()}
    assert "in the clear" in mistakes_of(environment | {"MAKEGOOD_SMTP_HOST": "mail.example.com"})
    load(environment | {"MAKEGOOD_SMTP_HOST": "localhost"})


@pytest.mark.parametrize(
    ("bind", "host", "port", "url"),
    [("0.0.0.0:80", "0.0.0.0", 80, "http://0.0.0.0:80"), ("[::1]:8081", "::1", 8081, "http://[::1]:8081")],  # noqa: S104 - an example
)
def test_bind_takes_both_families(bind: str, host: str, port: int, url: str) -> None:
    settings = load({"MAKEGOOD_BIND": bind})
    assert (settings.bind_host, settings.bind_port, settings.public_url) == (host, port, url)


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load({"MAKEGOOD_POOL_SIZE": "", "MAKEGOOD_SMTP_HOST": ""}).pool_size == 20


def test_the_embedded_secret_is_made_once_and_is_the_owners_only(tmp_path: Path) -> None:
    first = embedded_secret(tmp_path / "data")
    assert embedded_secret(tmp_path / "data") == first
    assert len(first.reveal()) == 64
    assert stat.S_IMODE((tmp_path / "data" / "secret").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]


def test_a_child_process_reads_the_same_settings() -> None:
    settings: Settings = load(FULL)
    assert load(overrides(settings)) == settings
    play = {"KIND": "sandbox_payout", "DATABASE_URL": "postgresql://u@h/s", "WEBHOOK_SECRETS": f"{HEX},{WHSEC}", "PACE": "0.5"}
    with_rails = load(FULL | rail(play))
    assert load(overrides(with_rails)) == with_rails
    assert not [name for name in overrides(load(FULL | rail(ADYEN))) if "RAIL" in name]
