"""What the service itself says to customers, in every language it speaks: one file a language beside this one, checked whole when read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from policies.reading import ReadingError, read

# English first: the others are checked against it, and who wants a language that is not here reads it.
LANGUAGES: Final = ("en", "de", "fr", "es", "ja", "ar")

Section = Mapping[str, str]

_PLACE: Final = re.compile(r"\{([a-z_]+)\}")


class TextsError(ValueError):
    """The texts do not load; `errors` has every mistake, each with its language."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class Texts:
    """Sentences by language, section and name; each language has them all."""

    def __init__(self, by_language: Mapping[str, Mapping[str, Section]]) -> None:
        self._by_language = by_language

    def of(self, language: str, section: str) -> Section:
        """All of a section, by name. Raises KeyError for a language that is not written."""
        return self._by_language[language][section]

    def every(self, section: str) -> Mapping[str, Section]:
        """All of a section, by language and then by name."""
        return MappingProxyType({language: sections[section] for language, sections in self._by_language.items()})

    def by_name(self, section: str) -> Mapping[str, Mapping[str, str]]:
        """All of a section, by name and then by language."""
        names = self._by_language[LANGUAGES[0]][section]
        return MappingProxyType(
            {name: MappingProxyType({tag: sections[section][name] for tag, sections in self._by_language.items()}) for name in names}
        )

    def sections(self) -> tuple[str, ...]:
        return tuple(self._by_language[LANGUAGES[0]])


def load_texts(folder: Path) -> Texts:
    """Returns the texts in `folder`, one `<language>.yaml` for each language. Raises TextsError with every mistake."""
    found: dict[str, Mapping[str, Section]] = {}
    errors: list[str] = []
    for language in LANGUAGES:
        try:
            found[language] = read((folder / f"{language}.yaml").read_text(encoding="utf-8")).plain()
        except ReadingError as error:
            errors += [f"{language}: {one}" for one in error.errors]
        except (OSError, UnicodeDecodeError) as error:
            errors.append(f"{language}: cannot be read: {type(error).__name__}")
    if not errors:
        errors += [mistake for language in LANGUAGES for mistake in _mistakes(language, found[language], found[LANGUAGES[0]])]
    if errors:
        raise TextsError(errors)
    return Texts(found)


def _mistakes(language: str, sections: Mapping[str, Section], model: Mapping[str, Section]) -> Iterator[str]:
    """What this language lacks, has too much of, or says with other places than English does."""
    flat, wanted = _flat(sections), _flat(model)
    yield from (f"{language}: {name} is missing" for name in wanted if name not in flat)
    yield from (f"{language}: {name} is not in English" for name in flat if name not in wanted)
    for name, text in flat.items():
        if not isinstance(text, str) or not text.strip():
            yield f"{language}: {name} says nothing"
        elif re.search(r"[{}]", _PLACE.sub("", text)):
            yield f"{language}: {name} has a brace that is not a place's"
        elif isinstance(said := wanted.get(name), str) and set(_PLACE.findall(text)) != set(_PLACE.findall(said)):
            yield f"{language}: {name} has other places than in English"


def _flat(sections: Mapping[str, Section]) -> dict[str, object]:
    if not isinstance(sections, dict):
        return {}
    return {f"{section}.{name}": text for section, named in sections.items() if isinstance(named, dict) for name, text in named.items()}


TEXTS: Final = load_texts(Path(__file__).parent)
