"""One route in a document, and how a table of routes becomes the paths of one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from api.openapi.shapes import Shape, ref
from timeball.model.project import Scope

Route = tuple[str, str, str, Scope]
"""Method, path, verb, and the scope that a key needs."""

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Operation:
    """What a route takes and answers, as far as its table of routes and its verb do not tell.

    `body` is what is sent, `query` and `headers` are parameters, `answer` what comes back with `status` (None is
    an answer without a body). `examples` are bodies by name, each of which must work as it stands; `faults` are
    statuses beside those that follow from what the route takes. `also` are further good answers by status.
    """

    tag: str
    answer: Shape | None
    status: int = 200
    body: Shape | None = None
    query: tuple[Shape, ...] = ()
    headers: tuple[Shape, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[int, ...] = ()
    also: Mapping[int, Shape] = field(default_factory=dict)
    paged: bool = False
    optional: bool = False
    """Whether the body may be left out."""


PAGED: Mapping[str, Shape] = {
    "X-Next-Cursor": {
        "description": "Where to go on: the `cursor` of the next page. Absent on the last one.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": 'The address of the next page, as `<...>; rel="next"`.',
        "schema": {"type": "string"},
    },
}

_WHEN = {
    400: "The body cannot be read.",
    401: "No API key, or one that is unknown, revoked or expired.",
    403: "The key lacks the scope that this needs.",
    404: "There is no such thing in the key's project.",
    408: "The body came too slowly.",
    409: "It is not in a state where this can be done, or an idempotency key was used for something else.",
    410: "It was there and is gone.",
    413: "The body is larger than is taken.",
    415: "The body is compressed, or of a kind that is not taken.",
    422: "Fields are wrong: `errors` names each.",
    429: "Too many requests of this key, or a quota of the project is used up: see Retry-After.",
    503: "The store cannot be reached or is full, or too many bodies are being sent slowly; try again.",
}


def paths(
    routes: Iterable[Route],
    operations: Mapping[tuple[str, str], Operation],
    verbs: type,
    prefix: str,
    parameters: Mapping[str, Shape],
) -> dict[str, dict[str, Any]]:
    """The paths of a table of routes. A route without its operation is left out, and `make check` names it.

    `verbs` is the class whose docstrings tell what each does; `prefix` keeps operation ids apart.
    """
    made: dict[str, dict[str, Any]] = {}
    for method, path, verb, scope in routes:
        operation = operations.get((method, path))
        if operation is None:
            continue
        told = _told(getattr(verbs, verb))
        made.setdefault(template(path), {})[method.lower()] = {
            "operationId": f"{prefix}_{verb}",
            "tags": [operation.tag],
            **told,
            **_takes(path, operation, parameters),
            "responses": _answers(path, operation, scope),
            "security": [{"key": []}, {"basic": []}] if prefix != "spaaza" else [{"pair": []}],
            "x-scope": scope.value,
        }
    return made


def template(path: str) -> str:
    """A path of Flask's in OpenAPI's form: `<task_id>` becomes `{task_id}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def _told(verb: object) -> dict[str, str]:
    about = inspect.getdoc(verb) or ""
    head, _, rest = about.partition("\n\n")
    summary, _, more = " ".join(head.split()).partition(". ")
    said = {"summary": summary.rstrip(".")}
    description = "\n\n".join(part for part in (more, rest) if part)
    return said | ({"description": description} if description else {})


def _takes(path: str, operation: Operation, known: Mapping[str, Shape]) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", template(path))
    found = [
        *({"name": name, "in": "path", "required": True, **known[name]} for name in names),
        *operation.query,
        *operation.headers,
    ]
    takes: dict[str, Any] = {"parameters": found} if found else {}
    if operation.body is not None:
        content: dict[str, Any] = {"schema": operation.body}
        if operation.examples:
            content["examples"] = {n: {"value": v} for n, v in operation.examples.items()}
        takes["requestBody"] = {"required": not operation.optional, "content": {JSON: content}}
    return takes


def _answers(path: str, operation: Operation, scope: Scope) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.answer is not None:
        good["content"] = {JSON: {"schema": operation.answer}}
    if operation.paged:
        good["headers"] = dict(PAGED)
    answers: dict[str, Any] = {str(operation.status): good}
    for status, shape in operation.also.items():
        answers[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {JSON: {"schema": shape}},
        }
    faults = {401, 429, 503, *operation.faults}
    if scope is not Scope.READ:
        faults.add(403)
    if "<" in path:
        faults.add(404)
    if operation.body is not None:
        faults |= {400, 408, 413, 415, 422}
    if operation.query or operation.headers:
        faults.add(422)
    for status in sorted(faults):
        answers[str(status)] = {"$ref": f"#/components/responses/{status}"}
    return answers


def failures(shape: str) -> dict[str, Any]:
    """The error answers that operations refer to; `shape` names the component of their body."""
    return {
        str(status): {"description": when, "content": {JSON: {"schema": ref(shape)}}}
        for status, when in _WHEN.items()
    }
