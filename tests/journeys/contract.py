"""The product's own OpenAPI document, and whether an answer keeps to it."""

from __future__ import annotations

import re
from typing import Any

import httpx2
from jsonschema import Draft202012Validator

PART = re.compile(r"\\\{\w+\\\}")


class Contract:
    """What the API promises of each path, method and status."""

    def __init__(self, document: dict[str, Any]) -> None:
        """`document` as served at /api/openapi.json."""
        self.components = document["components"]
        named = [
            (name, method, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            for name in (path, *operation.get("x-aliases", ()))
        ]
        # Fixed paths first: /jobs/status is no job called "status".
        self.operations = [
            (method.upper(), re.compile(PART.sub("[^/]+", re.escape(name))), operation)
            for name, method, operation in sorted(named, key=lambda entry: entry[0].count("{"))
        ]
        self._validators: dict[str, Draft202012Validator] = {}

    def check(self, answer: httpx2.Response) -> None:
        """Fail the test if `answer` is none of those that the document promises."""
        request = answer.request
        where = f"{request.method} {request.url.raw_path.decode()} -> {answer.status_code}"
        promised = self._operation(request.method, request.url.path)["responses"].get(str(answer.status_code))
        assert promised is not None, f"undocumented status: {where} {answer.text[:300]}"
        media = answer.headers.get("content-type", "").partition(";")[0]
        content = promised.get("content", {})
        if media.endswith("json") and media in content:
            faults = list(self._validator(content[media]["schema"]).iter_errors(answer.json()))
            assert not faults, f"{where}: {faults[0].json_path}: {faults[0].message}"
        else:
            assert not content or media in content or "application/octet-stream" in content, (
                f"{where} {media}"
            )

    def _operation(self, method: str, path: str) -> dict[str, Any]:
        for verb, pattern, operation in self.operations:
            if verb == method and pattern.fullmatch(path):
                return dict(operation)
        raise AssertionError(f"{method} {path} is not in the document")

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        whole = {**schema, "components": self.components}
        return self._validators.setdefault(repr(schema), Draft202012Validator(whole))
