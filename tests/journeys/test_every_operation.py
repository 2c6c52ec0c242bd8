"""A fuzzer over the whole OpenAPI document: data that fits it and data that does not, to every operation.

FUZZ_SEED chooses other data than last time (the name of a failing test says which it was), FUZZ_EXAMPLES how much.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from app.api.glue import OPERATIONS, Operation
from tests.app.api.calling import Caller
from tests.app.api.conftest import clean, document, make_caller, stored_password  # noqa: F401 - fixtures

SEED = int(os.environ.get("FUZZ_SEED", "20"))
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
MODES = {"fits": GenerationMode.POSITIVE, "does not fit": GenerationMode.NEGATIVE}

SENT = [(each, "fits") for each in OPERATIONS] + [
    (each, "does not fit") for each in OPERATIONS if each.body or each.query or each.parts
]


@pytest.fixture(scope="module")
def api(app: Flask) -> schemathesis.BaseSchema:
    """The document as the fuzzer reads it."""
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app)


@pytest.fixture
def fuzzer(make_caller: Callable[..., Caller]) -> Caller:  # noqa: F811
    """An admin, so that the fuzzer gets behind every door."""
    return make_caller("fuzzer", "admin")


@pytest.mark.parametrize(
    ("operation", "mode"),
    SENT,
    ids=lambda each: each if isinstance(each, str) else f"{each.name} seed {SEED}",
)
def test_whatever_is_sent_the_answer_is_documented(
    operation: Operation, mode: str, api: schemathesis.BaseSchema, fuzzer: Caller
) -> None:
    # The fuzzer does not unpack what Flask-Compress packs.
    headers = {"Authorization": f"Bearer {fuzzer.key}", "Accept-Encoding": "identity"}
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
    described = api[path][operation.method]

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described.as_strategy(generation_mode=MODES[mode]))
    def run(case: Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()
