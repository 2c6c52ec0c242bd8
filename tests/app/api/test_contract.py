"""Requests that a fuzzer makes from the OpenAPI document: never a 5xx, never an undocumented answer."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.api.glue import OPERATIONS, Operation
from tests.app.api.calling import Caller
from tests.turns import times

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]

thrifty = hypothesis_settings(
    max_examples=times(4, 20),
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(app: Flask) -> schemathesis.BaseSchema:
    """The document as the fuzzer reads it."""
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.fixture
def fuzzer(make_caller: Callable[..., Caller]) -> Caller:
    """An admin, so that the fuzzer gets behind every door."""
    return make_caller("fuzzer", "admin")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_whatever_is_sent_the_answer_is_documented(
    operation: Operation, api: schemathesis.BaseSchema, fuzzer: Caller
) -> None:
    # The fuzzer does not unpack what Flask-Compress packs.
    headers = {"Authorization": f"Bearer {fuzzer.key}", "Accept-Encoding": "identity"}
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)

    @given(case=api[path][operation.method].as_strategy())
    @thrifty
    def run(case: Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()
