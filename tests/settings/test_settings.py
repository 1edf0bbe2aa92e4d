from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from service.settings import NEEDED_TO_SERVE, Secret, Settings, SettingsError, embedded_secret, load, overrides

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
        "MAKEGOOD_RAIL_MAIN_KIND must be one of stripe, sandbox, not 'strip': did you mean stripe?",
        "MAKEGOOD_POOLSIZE means nothing here: did you mean MAKEGOOD_POOL_SIZE?",
    ):
        assert part in said, part
    assert said.count("  * ") == 13


@pytest.mark.parametrize(
    "name",
    ["DATABASE_URL", "SECRET", "SANDBOX_DATABASE_URL", "RAIL_MAIN_API_KEY", "RAIL_MAIN_DATABASE_URL", "SMTP_PASSWORD"],
)
def test_no_secret_is_printed_neither_right_nor_wrong(name: str) -> None:
    wrong = mistakes_of({f"MAKEGOOD_{name}": "hunter2 hunter2", "MAKEGOOD_RAIL_MAIN_KIND": "?", "MAKEGOOD_SMTP_PORT": "?"})
    assert "hunter2" not in wrong
    long = "postgresql://u:hunter2@h/hunter2hunter2hunter2hunter2"
    environment = {f"MAKEGOOD_{name}": long, "MAKEGOOD_RAIL_MAIN_KIND": "stripe", "MAKEGOOD_RAIL_MAIN_API_KEY": long}
    smtp = {"MAKEGOOD_SMTP_HOST": "h", "MAKEGOOD_SMTP_SENDER": "a@b", "MAKEGOOD_SMTP_USER": "u", "MAKEGOOD_SMTP_PASSWORD": long}
    right = load(environment | smtp)
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
