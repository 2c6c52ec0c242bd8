"""A client of the API for tests: every answer it gets is held against the API's own OpenAPI document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator, FormatChecker
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from app.accounts.permissions import Principal

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_formats = FormatChecker(formats=())
_formats.checks("date-time")(lambda text: not isinstance(text, str) or _TIME.fullmatch(text) is not None)


@dataclass(frozen=True)
class Caller:
    """Somebody who calls the API; without a key, nobody."""

    app: Flask
    document: dict[str, Any]
    principal: Principal | None = None
    key: str | None = None

    @property
    def id(self) -> str:
        """Their user id."""
        assert self.principal is not None
        return self.principal.user_id

    def get(self, path: str, **more: Any) -> TestResponse:
        """GET, checked."""
        return self.call("GET", path, **more)

    def post(self, path: str, **more: Any) -> TestResponse:
        """POST, checked."""
        return self.call("POST", path, **more)

    def call(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """One request; fails the test if the answer is not as documented."""
        key = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        client: FlaskClient = self.app.test_client(use_cookies=False)
        response = client.open(path, method=method, headers={**key, **(headers or {})}, **more)
        check(self.app, self.document, method, path, response)
        return response


def check(app: Flask, document: dict[str, Any], method: str, path: str, response: TestResponse) -> None:
    """Fail unless `response` is one that the document promises for this operation."""
    where = f"{method} {path} -> {response.status_code} {response.get_data(as_text=True)[:400]}"
    assert response.headers.get("X-Request-Id"), where
    if response.status_code >= 400 and response.mimetype == "application/problem+json":
        assert response.json is not None
        assert response.json["request_id"] == response.headers["X-Request-Id"], where
        assert response.json["status"] == response.status_code, where
    operation = _operation(app, document, method, path)
    if operation is None:
        assert response.status_code in (404, 405, 308), where
        _fits(document, {"$ref": "#/components/schemas/Problem"}, response, where)
        return
    promised = operation["responses"].get(str(response.status_code))
    assert promised is not None, f"undocumented status: {where}"
    content = promised.get("content")
    if content is None:
        assert response.data == b"", where
        assert "Content-Type" not in response.headers, where
    elif "application/octet-stream" not in content:
        assert response.mimetype in content, f"undocumented media type {response.mimetype}: {where}"
        if response.mimetype.endswith("json"):
            _fits(document, content[response.mimetype]["schema"], response, where)


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with every object closed: a field that is sent but not described is a fault."""
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def _operation(app: Flask, document: dict[str, Any], method: str, path: str) -> dict[str, Any] | None:
    adapter = app.url_map.bind("localhost")
    try:
        endpoint, _ = adapter.match(unquote(path.partition("?")[0]), method)
    except HTTPException:
        return None
    name = endpoint.removeprefix("api.").partition(":")[0]
    found = [
        operation
        for methods in document["paths"].values()
        for operation in methods.values()
        if operation["operationId"] == name
    ]
    assert len(found) == 1, f"{endpoint} is not in the document once"
    return dict(found[0])


def _fits(document: dict[str, Any], schema: dict[str, Any], response: TestResponse, where: str) -> None:
    whole = {**schema, "components": document["components"]}
    faults = list(Draft202012Validator(whole, format_checker=_formats).iter_errors(response.json))
    assert not faults, f"{faults[0].json_path}: {faults[0].message}; {where}"
