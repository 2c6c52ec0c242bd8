from __future__ import annotations

from typing import Any

from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api.glue import OPERATIONS
from tests.app.api.calling import Caller


def fetched(nobody: Caller) -> dict[str, Any]:
    document = nobody.get("/api/openapi.json").json
    assert document is not None
    return dict(document)


def test_the_document_is_valid_openapi(nobody: Caller) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(fetched(nobody)).iter_errors()] == []


def test_every_operation_is_in_it_once_with_a_sentence(nobody: Caller) -> None:
    described = [each for methods in fetched(nobody)["paths"].values() for each in methods.values()]

    assert sorted(each["operationId"] for each in described) == sorted(each.name for each in OPERATIONS)
    assert [each["operationId"] for each in described if not each["summary"].endswith((".", ";"))] == []


def test_every_schema_in_it_is_used(nobody: Caller) -> None:
    document = fetched(nobody)
    used = str(document)

    assert [name for name in document["components"]["schemas"] if f"schemas/{name}'" not in used] == []


def test_other_paths_of_an_operation_are_named(nobody: Caller) -> None:
    status = fetched(nobody)["paths"]["/api/v1/jobs/{job_id}/status"]["get"]

    assert status["x-aliases"] == ["/api/v1/tasks/{job_id}/status", "/api/ai/jobs/{job_id}/status"]
    assert {parameter["name"] for parameter in status["parameters"]} == {
        "job_id", "logs", "log_cursor", "If-None-Match",
    }  # fmt: skip


def test_it_is_not_sent_to_who_has_it(nobody: Caller) -> None:
    tag = nobody.get("/api/openapi.json").headers["ETag"]

    assert nobody.get("/api/openapi.json", headers={"If-None-Match": tag}).status_code == 304


def test_answers_of_the_api_are_hardened(owner: Caller, app: Flask) -> None:
    for path in ("/api/v1/me", "/api/v1/nothing", "/api/v1/jobs/x"):
        headers = owner.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Set-Cookie" not in headers
