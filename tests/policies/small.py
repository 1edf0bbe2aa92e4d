"""A small pack to write tests with: a rule or two, and the rest filled in."""

import textwrap
from collections.abc import Iterable

from policies import Pack, load_pack

FACTS = """
a: bool
b: bool
n: int
d: double
s: string
at: timestamp
wide: duration
names: list
counts: list<int>
answer.left: string
"""

LAST = """
- id: people
  escalate: { skill: support, priority: 4, suggest: [reply] }
  because: { en: A person looks at this. }
  examples: [{ given: { a: false, b: false, n: -1, s: "", names: [], answer.left: "no" }, expect: escalate }]
"""

QUESTION = """
answer.left:
  prompt: { en: Have you left? }
  options:
    - { value: "yes", text: { en: "Yes" } }
    - { value: "no", text: { en: "No" } }
"""


def text_of(rules: str, *, facts: str = FACTS, questions: str = QUESTION, last: str = LAST, extra: str = "", name: str = "small") -> str:
    parts = [f"pack: {name}", "facts:", _inner(facts), "questions:", _inner(questions), extra.strip("\n"), "rules:"]
    return "\n".join([*(part for part in parts if part), _inner(rules), _inner(last)])


def small(rules: str, *, extra: str = "", last: str = LAST, languages: Iterable[str] = ("en",)) -> Pack:
    return load_pack(text_of(rules, extra=extra, last=last), languages=languages)


def deny(when: str, given: str, name: str = "no") -> str:
    return f"""
- id: {name}
  when: {when}
  deny: {{ would_change: {{ en: Something else. }} }}
  because: {{ en: No. }}
  examples: [{{ given: {given}, expect: deny }}]
"""


def refund(amount: str, given: str, more: str = "rounding: down") -> str:
    return f"""
- id: money
  when: a
  approve: [{{ action: refund, amount: "{amount}", cause: incident, {more} }}]
  because: {{ en: Money back. }}
  examples: [{{ given: {given}, expect: {{ approve: [refund] }} }}]
"""


def _inner(part: str) -> str:
    return textwrap.indent(textwrap.dedent(part).strip("\n"), "  ")


GOOD_PACK = text_of(
    """
- id: rains
  when: b
  wait: { for: incident_end, at_most: 1h }
  because: { en: It rains. }
  examples: [{ given: { b: true }, expect: wait }]
- id: dry
  when: n > 1
  deny: { would_change: { en: Something else. } }
  because: { en: No. }
  examples: [{ given: { b: false, n: 2 }, expect: deny }]
- id: money
  when: a
  approve: [{ action: refund, amount: "5", cause: incident, rounding: down }]
  because: { en: Money back. }
  examples: [{ given: { b: false, n: 0, a: true }, expect: { approve: [refund], amount: 5 } }]
""",
    name="more",
    extra="problems: [other]",
)
