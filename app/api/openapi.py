"""The API described by itself: an OpenAPI 3.1 document made from the registered operations."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

import orjson
from flask import Response, current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.api import conditional
from app.api.glue import Operation, op
from app.api.reading import FormInput
from app.api.shapes import JSON, Problem

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}

_INTRODUCTION = """\
Jobs for AI agents: submit, watch by polling, cancel, retry. Send `Authorization: Bearer …` with an access
token or an API key, or the key as `X-API-Key`. Errors are `application/problem+json` with a stable `code`.
"""


@op("GET", "/api/openapi.json", public=True, out="application/json", conditional=True)
def openapi_document() -> Response:
    """This document."""
    document: bytes = current_app.extensions["callboard-openapi"]
    response = Response(document, mimetype="application/json")
    response.set_etag(hashlib.sha256(document).hexdigest()[:16])
    response.headers["Cache-Control"] = "public, max-age=60"
    if conditional.holds(response.headers["ETag"]):
        response.status_code = 304
        response.set_data(b"")
    return response


def document(
    operations: Iterable[Operation], aliases: Mapping[tuple[str, str], tuple[str, ...]], version: str
) -> JSON:
    """The whole document; `aliases` are the other paths of each (method, path)."""
    operations = list(operations)
    models = sorted(
        {model for each in operations for model in _models(each)} | {Problem}, key=lambda m: m.__name__
    )
    # One mode for both ways: a field with a default may be missing, whoever sends it.
    _, schemas = models_json_schema([(model, "validation") for model in models], ref_template=_REFERENCE)
    schemas = schemas["$defs"]
    paths: dict[str, JSON] = {}
    for each in operations:
        described = _describe(each, schemas, aliases.get((each.method, each.path), ()))
        paths.setdefault(_braces(each.path), {})[each.method.lower()] = described
    for query in {each.query.__name__ for each in operations if each.query}:
        schemas.pop(query)  # spelled out as parameters
    return {
        "openapi": "3.1.0",
        "info": {"title": "Callboard", "version": version, "description": _INTRODUCTION},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SCHEMES},
        "security": [{"token": []}, {"key": []}],
    }


_SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An access token or an API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}


def as_bytes(whole: JSON) -> bytes:
    """The document as it is served."""
    return orjson.dumps(whole)


def _models(operation: Operation) -> list[type[BaseModel]]:
    candidates = [operation.body, operation.query, operation.out, *operation.also.values()]
    return [model for model in candidates if isinstance(model, type)]


def _describe(operation: Operation, schemas: JSON, aliases: tuple[str, ...]) -> JSON:
    summary, _, description = inspect.cleandoc(operation.view.__doc__ or "").partition("\n\n")
    described: JSON = {
        "operationId": operation.name,
        "summary": summary.replace("\n", " "),
        "tags": [_tag(operation.path)],
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation),
    }
    if description:
        described["description"] = description
    if operation.body:
        described["requestBody"] = {
            "required": not operation.body_optional,
            "content": {
                "application/json": {"schema": {"$ref": _REFERENCE.format(model=operation.body.__name__)}}
            },
        }
        if issubclass(operation.body, FormInput):
            described["requestBody"]["content"]["multipart/form-data"] = {
                "schema": operation.body.form_schema
            }
    if operation.verb is None:
        described["security"] = []
    else:
        described["x-permission"] = operation.verb
    if aliases:
        described["x-aliases"] = [_braces(path) for path in aliases]
    return described


def _parameters(operation: Operation, schemas: JSON) -> list[JSON]:
    found: list[JSON] = [
        {"name": name, "in": "path", "required": True, "schema": adapter.json_schema()}
        for name, adapter in operation.parts.items()
    ]
    if operation.query:
        found += _query_parameters(schemas[operation.query.__name__])
    if operation.idempotent:
        found.append(
            _header("Idempotency-Key", "The same request under the same key is done once, for 24 hours.")
        )
    if operation.conditional:
        found.append(_header("If-None-Match", "The ETag you have: 304 if it still fits."))
    return found


def _query_parameters(schema: JSON) -> list[JSON]:
    required = schema.get("required", [])
    found = []
    for name, field in schema.get("properties", {}).items():
        described = {key: value for key, value in field.items() if key != "title"}
        parameter = {"name": name, "in": "query", "required": name in required, "schema": described}
        if "description" in described:
            parameter["description"] = described.pop("description")
        if described.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        found.append(parameter)
    return found


def _header(name: str, description: str) -> JSON:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string"},
    }


def _responses(operation: Operation) -> JSON:
    good: dict[int, type[BaseModel] | str | None] = {operation.status: operation.out, **operation.also}
    if operation.conditional:
        good[304] = None
    described = {str(status): _good(status, out) for status, out in good.items()}
    for status in sorted(set(_bad(operation)) - set(good)):
        described[str(status)] = {"description": HTTPStatus(status).phrase, "content": _PROBLEM}
    return described


def _good(status: int, out: type[BaseModel] | str | None) -> JSON:
    described: JSON = {"description": HTTPStatus(status).phrase}
    if isinstance(out, str):
        described["content"] = {out: {"schema": {"type": "string"} if out.startswith("text/") else {}}}
    elif out is not None:
        described["content"] = {
            "application/json": {"schema": {"$ref": _REFERENCE.format(model=out.__name__)}}
        }
    return described


def _bad(operation: Operation) -> Iterable[int]:
    yield from operation.errors
    yield from (429, 503)
    if operation.verb is not None:
        yield from (401, 403)
    if operation.parts or operation.query or operation.body:
        yield 400
    if operation.body:
        yield from (413, 415, 422)
    if operation.idempotent:
        yield from (409, 422)


def _braces(path: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)


def _tag(path: str) -> str:
    """`/api/v1/jobs/<id>/logs` belongs to jobs, `/api/health/db` to health."""
    parts = [part for part in path.split("/") if part not in ("", "api", "v1")]
    return parts[0].partition(".")[0]
