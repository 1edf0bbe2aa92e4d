"""A build of the widget as the tests need it: small, and another one at will."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from service.widget_build import integrity_of

PAGE: Final = """<!doctype html>
<html lang="{{lang}}"><head><meta charset="utf-8"><title>{{name}}</title>
<meta name="makegood-platform" content="{{platform}}"><meta name="makegood-origins" content="{{origins}}">
<script src="/widget/%(page)s" defer></script><script src="/widget/%(script)s" defer></script></head>
<body><noscript>{{name}}{{support}} {{nothing}}</noscript></body></html>
"""


def build(folder: Path, release: str) -> dict[str, str]:
    """Writes a build whose files differ with the release; their names by what they are: script, rest, page, en, ar."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "rest": f"export const later = '{release}';",
        "script": f"run('{release}');" * 50,
        "page": f"page('{release}');",
        "en": json.dumps({"r": release}),
        "ar": json.dumps({"ر": release}),
    }
    endings = {"rest": "rest.{}.js", "script": "v1.{}.js", "page": "page.{}.js", "en": "en.{}.json", "ar": "ar.{}.json"}
    names = {kind: endings[kind].format(hashlib.sha256(text.encode()).hexdigest()[:12]) for kind, text in texts.items()}
    for kind, text in texts.items():
        (folder / names[kind]).write_text(text, encoding="utf-8")
    (folder / "help.html").write_text(PAGE % names)
    manifest = {
        "file": names["script"],
        "integrity": integrity_of(texts["script"].encode()),
        "languages": {"en": names["en"], "ar": names["ar"]},
        "page": "help.html",
        "files": sorted(names.values()),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return names
