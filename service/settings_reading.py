"""Reads settings one by one and collects every mistake, so that they are shown together; knows nothing of what the settings mean."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import urlsplit

PREFIX: Final = "MAKEGOOD_"


class Secret:
    """A value that shows itself only when asked: neither repr, str, format, an exception nor a log line prints it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)


class SettingsError(Exception):
    """Everything that is wrong with the settings, one line each, without any secret."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("the settings are not right:\n" + "\n".join(f"  * {mistake}" for mistake in self.mistakes))


class Reader:
    """Gives out values by name; remembers which names exist and what is wrong. An empty variable counts as not set."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._mistakes: list[str] = []
        self._known: set[str] = {"CONFIG"}
        self._needed: set[str] = set()
        from_environment = {name.removeprefix(PREFIX): value for name, value in environment.items() if name.startswith(PREFIX) and value}
        self._values = {**self._file(from_environment.get("CONFIG")), **from_environment}

    def finish(self) -> None:
        """Raises SettingsError if anything was wrong, names that mean nothing included."""
        for name in sorted(self._values.keys() - self._known):
            close = difflib.get_close_matches(name, sorted(self._known), n=1)
            self._mistakes.append(f"{PREFIX}{name} means nothing here" + (f": did you mean {PREFIX}{close[0]}?" if close else ""))
        if self._mistakes:
            raise SettingsError(self._mistakes)

    # ------------------------------------------------------------------------------------------ mistakes

    def mistake(self, name: str, what: str) -> None:
        self._mistakes.append(f"{PREFIX}{name} {what}")

    def missing(self, name: str, what: str) -> None:
        """As `mistake`, unless the value is there and was already complained about."""
        if name not in self._values:
            self.mistake(name, what)

    def need(self, name: str) -> None:
        """Complains, once, if this one is not set."""
        if name not in self._values and name not in self._needed:
            self._needed.add(name)
            self.mistake(name, "is not set")

    def refuse_all(self, names: Sequence[str], what: str) -> None:
        for name in names:
            if name in self._values:
                self.mistake(name, what)

    # -------------------------------------------------------------------------------------------- values

    def text(self, name: str) -> str | None:
        self._known.add(name)
        return self._values.get(name)

    def secret(self, name: str, *, bytes_min: int = 1) -> Secret | None:
        value = self.text(name)
        if value is None:
            return None
        # Eight different characters: a real key has more, "x" times forty has one.
        if len(value.encode()) < bytes_min or (bytes_min > 1 and len(set(value)) < 8):
            self.mistake(name, f"must be random and at least {bytes_min} bytes long: `openssl rand -hex {bytes_min}` makes one")
        return Secret(value)

    def integer(self, name: str, *, default: int, least: int, most: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        # Nine digits: more is no setting, and Python refuses to read thousands of them.
        if re.fullmatch(r"-?\d{1,9}", value, re.ASCII) is None or not least <= int(value) <= most:
            self.mistake(name, f"must be a whole number from {least} to {most}, not {value!r}")
            return default
        return int(value)

    def number(self, name: str, *, least: float, most: float) -> float | None:
        """A number that may have decimals."""
        value = self.text(name)
        if value is None:
            return None
        # Written as people write it: no exponents, and none of Python's words for what is no number.
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value, re.ASCII) is None or not least <= float(value) <= most:
            self.mistake(name, f"must be a number from {least:g} to {most:g}, not {value!r}")
            return None
        return float(value)

    def flag(self, name: str) -> bool:
        """`yes` or `no`; without either, no."""
        return self.one_of(name, ("yes", "no")) == "yes"

    def texts(self, name: str, *, most: int, shape: str, said: str) -> tuple[str, ...]:
        """Several, by commas; `said` describes the shape. What is wrong is not shown: it may be secret."""
        value = self.text(name)
        words = tuple(word.strip() for word in value.split(",")) if value else ()
        if len(words) > most or not all(words) or len(set(words)) < len(words):
            self.mistake(name, f"must be at most {most} different ones by commas")
            return ()
        if not all(re.fullmatch(shape, word, re.ASCII) for word in words):
            self.mistake(name, f"must be {said}, by commas")
            return ()
        return words

    def secrets(self, name: str, *, most: int, shape: str, said: str) -> tuple[Secret, ...]:
        """Several, by commas: any of them is right, so that a new one can come before the old one goes."""
        return tuple(Secret(word) for word in self.texts(name, most=most, shape=shape, said=said))

    def choice(self, name: str, words: Any, *, default: str) -> Any:
        """One of the words of a Literal."""
        return self.one_of(name, get_args(words)) or default

    def one_of(self, name: str, words: Sequence[str]) -> str | None:
        value = self.text(name)
        if value is None or value in words:
            return value
        close = difflib.get_close_matches(value, words, n=1)
        self.mistake(name, f"must be one of {', '.join(words)}, not {value!r}" + (f": did you mean {close[0]}?" if close else ""))
        return None

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _is_url(value, ("https", "http")):
            self.mistake(name, f"must be an address like https://help.example.com, not {value!r}")
            return None
        return value.rstrip("/") if value else None

    def secret_url(self, name: str, *, schemes: Sequence[str]) -> Secret | None:
        """An address with a password in it."""
        value = self.text(name)
        if value is not None and not _is_url(value, schemes, host_needed="?host=" not in value):
            self.mistake(name, f"must be an address like {schemes[0]}://user:password@host/database")
        return Secret(value) if value else None

    def address(self, name: str, *, default: str) -> tuple[str, int]:
        """`host:port`; an IPv6 host in brackets (RFC 3986)."""
        value = self.text(name) or default
        shape = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\s\[\]/]+)):(\d{1,5})", value, re.ASCII)
        if shape is None or int(shape[3]) > 65535:
            self.mistake(name, f"must be host:port, not {value!r}")
            return "127.0.0.1", 0
        return shape[1] or shape[2], int(shape[3])

    def mail_address(self, name: str) -> str | None:
        """`a@b.example` or `Name <a@b.example>`."""
        value = self.text(name)
        if value is not None and re.fullmatch(r"(?:[^<>\r\n]*<[^@<>\s]+@[^@<>\s]+>|[^@<>\s]+@[^@<>\s]+)", value) is None:
            self.mistake(name, f"must be a mail address, not {value!r}")
            return None
        return value

    def folder(self, name: str) -> Path | None:
        value = self.text(name)
        if value is not None and not Path(value).is_dir():
            self.mistake(name, f"must be a folder, and {value!r} is none")
        return Path(value) if value else None

    def languages(self, name: str, *, default: str) -> tuple[str, ...]:
        """Language tags in order of preference, by commas (BCP 47: `en`, `de-AT`)."""
        words = tuple(word.strip() for word in (self.text(name) or default).split(","))
        for word in words:
            if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", word, re.ASCII) is None:
                self.mistake(name, f"must be language tags by commas, like en,de: {word!r} is none")
        return words

    def rail_names(self, fields: Sequence[str]) -> Sequence[str]:
        """The names in `RAIL_<NAME>_<FIELD>`, in alphabetical order, in small letters."""
        shape = re.compile(rf"RAIL_([A-Z][A-Z0-9_]*?)_(?:{'|'.join(fields)})")
        matches = (shape.fullmatch(name) for name in self._values)
        return sorted({match[1].lower() for match in matches if match})

    # ---------------------------------------------------------------------------------------------- file

    def _file(self, path: str | None) -> Mapping[str, str]:
        if path is None:
            return {}
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            self.mistake("CONFIG", f"cannot be read: {error.strerror} ({path})")
        except UnicodeDecodeError:
            self.mistake("CONFIG", f"is no UTF-8 ({path})")
        except tomllib.TOMLDecodeError as error:
            self.mistake("CONFIG", f"is no TOML: {error} ({path})")
        else:
            return dict(self._flat(document))
        return {}

    def _flat(self, table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
        """`[smtp] host` and `smtp_host` are SMTP_HOST; `[rails.main] kind` is RAIL_MAIN_KIND."""
        for key, value in table.items():
            name = f"{above}{key}".upper()
            match value:
                case dict():
                    yield from self._flat(value, "RAIL_" if name == "RAILS" else f"{name}_")
                case bool():
                    self.mistake(name, "must be text or a number in the file")
                case str() | int():
                    yield name, str(value)
                case list() if all(isinstance(part, str) for part in value):
                    yield name, ",".join(value)
                case _:
                    self.mistake(name, "must be text or a number in the file")


def _is_url(value: str, schemes: Sequence[str], *, host_needed: bool = True) -> bool:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in schemes and (bool(parts.hostname) or not host_needed) and not re.search(r"\s", value)
