"""From a plain function to an endpoint: `@op(...)` above a view of twelve lines, and nothing else.

    @op("POST", "/api/v1/jobs", verb="submit_task", out=JobAccepted, status=201, errors=(409,))
    def submit_job(body: JobIn) -> dict[str, Any]:
        "Submit a job."

What a view takes is read from its annotations: `body` and `query` are pydantic models (`body: Model | None`
may be missing), every other argument is a part of the path. What it returns becomes JSON. Returning commits,
raising rolls back. An operation names the verb of app/accounts/permissions.py that the caller must have, or
says `public=True`; one without either is an error at import. Whether the caller may do it to *this* thing,
the view or its room asks when it knows whose it is.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel, TypeAdapter

from app.accounts import permissions
from app.accounts.permissions import Principal
from app.api import bounds, limits, reading
from app.api.answers import Answer, as_answer, dumps, respond
from app.api.auth import authenticate, current_principal
from app.api.errors import problem_for
from app.db import db
from app.jobs import idempotency

View = TypeVar("View", bound=Callable[..., Any])

SAFE = ("GET", "HEAD")
OPERATIONS: list[Operation] = []


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path: who may call it, what it takes and what it answers."""

    method: str
    path: str
    view: Callable[..., Any]
    verb: str | None
    out: type[BaseModel] | str | None
    """A model; or the media type of what is no JSON; or None for an answer without body."""
    status: int
    errors: tuple[int, ...]
    also: Mapping[int, type[BaseModel] | None]
    """Further good answers by status: `{202: CancelAccepted, 304: None}`."""
    idempotent: bool
    """Takes an Idempotency-Key: the same request said twice is done once."""
    conditional: bool
    """Answers with an ETag, and 304 to one that still fits."""
    bare: bool
    """Runs outside of any transaction, because it must answer without a database too."""
    admit: Callable[[], Principal]
    """Says who calls, or raises; by a token or an API key unless the operation knows other ways."""
    told: Callable[[Exception], Response]
    """The answer to what went wrong."""
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    parts: Mapping[str, TypeAdapter[Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The operation's id, in the document and as Flask's endpoint."""
        return str(self.view.__name__)

    @property
    def is_safe(self) -> bool:
        """Changes nothing."""
        return self.method in SAFE

    def arguments(self, path: Mapping[str, str]) -> dict[str, Any]:
        """Read what the view takes from the present request."""
        values = {name: reading.path_value(name, path[name], adapter) for name, adapter in self.parts.items()}
        if self.query:
            values["query"] = reading.query_as(self.query)
        if self.body:
            values["body"] = reading.body_as(self.body, optional=self.body_optional)
        return values


def op(
    method: str,
    path: str,
    *,
    verb: str | None = None,
    public: bool = False,
    out: type[BaseModel] | str | None = None,
    status: int = 200,
    errors: tuple[int, ...] = (),
    also: Mapping[int, type[BaseModel] | None] | None = None,
    idempotent: bool = False,
    conditional: bool = False,
    bare: bool = False,
    admit: Callable[[], Principal] = authenticate,
    told: Callable[[Exception], Response] = problem_for,
) -> Callable[[View], View]:
    """Make the function below an endpoint at `path`, written like Flask's: `/api/v1/jobs/<job_id>`."""
    if (verb is None) != public:
        msg = f"{method} {path} must name a verb of the permissions table, or be public, and not both"
        raise TypeError(msg)
    if verb is not None and verb not in permissions.TABLE:
        msg = f"{method} {path}: the permissions table has no verb {verb!r}"
        raise TypeError(msg)

    def register(view: View) -> View:
        named = _signature(view, path)
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                view=view,
                verb=verb,
                out=out,
                status=status,
                errors=errors,
                also=also or {},
                idempotent=idempotent,
                conditional=conditional,
                bare=bare,
                admit=admit,
                told=told,
                **named,
            )
        )
        return view

    return register


def mount(blueprint: Blueprint, operation: Operation, aliases: tuple[str, ...]) -> None:
    """Add an operation to `blueprint`, at its own path and at its other names."""
    handle = _handler(operation)
    for number, path in enumerate((operation.path, *aliases)):
        endpoint = operation.name if number == 0 else f"{operation.name}:{number}"
        blueprint.add_url_rule(path, endpoint, handle, methods=[operation.method])


def _handler(operation: Operation) -> Callable[..., Response]:
    @functools.wraps(operation.view)
    def handle(**path: str) -> Response:
        try:
            with _transaction(operation):
                _admit(operation)
                arguments = operation.arguments(path)
                answer = _once(operation, arguments) if operation.idempotent else operation.view(**arguments)
                return respond(answer, operation.status)  # what cannot be sent is not committed either
        except Exception as error:  # noqa: BLE001 - the door's edge: problem_for logs what nobody foresaw
            return operation.told(error)

    return handle


def _admit(operation: Operation) -> None:
    """Let the caller in, or raise: known, within their limits, and allowed to."""
    if operation.verb is None:
        limits.spend_public()
        return
    principal = operation.admit()
    if operation.is_safe:
        limits.spend_poll()
    else:
        limits.spend_write()
    permissions.demand(principal, operation.verb)
    bounds.demand(principal, operation.name, request.view_args or {})


def _once(operation: Operation, arguments: dict[str, Any]) -> object:
    """Run the view, or give again the answer that the same Idempotency-Key got before."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return operation.view(**arguments)
    who = current_principal()
    owner = who.credential if who.job_id else who.user_id
    before = idempotency.begin(owner, key, [operation.name, orjson.loads(dumps(arguments))])
    if before is not None:
        kept = before["response"]
        return Answer(kept["body"], before["status"], {**kept["headers"], "Idempotency-Replayed": "true"})
    answer = as_answer(operation.view(**arguments), operation.status)
    kept = {"body": orjson.loads(dumps(answer.body)), "headers": dict(answer.headers)}
    idempotency.finish(owner, key, answer.status or operation.status, kept)
    return answer


def _transaction(operation: Operation) -> AbstractContextManager[None]:
    """Reads: each statement by itself, the quick way. Writes: returning commits, raising rolls back."""
    if operation.bare:
        return nullcontext()
    return db.quick() if operation.is_safe else db.transaction()


def _signature(view: Callable[..., Any], path: str) -> dict[str, Any]:
    """What a view takes, from its annotations; raises TypeError where they and the path disagree."""
    hints = get_type_hints(view, include_extras=True)
    hints.pop("return", None)
    body, optional = reading.split_optional(hints.pop("body", None))
    query = hints.pop("query", None)
    if set(hints) != set(re.findall(r"<(?:\w+:)?(\w+)>", path)):
        msg = f"{view.__name__} takes {sorted(hints)}, which are not the parts of {path}"
        raise TypeError(msg)
    if not inspect.getdoc(view):
        msg = f"{view.__name__} needs a docstring: it is the operation's description"
        raise TypeError(msg)
    parts = {name: TypeAdapter(kind) for name, kind in hints.items()}
    return {"body": body, "body_optional": optional, "query": query, "parts": parts}
