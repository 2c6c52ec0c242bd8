"""The same request said twice makes one job."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.db import db
from app.errors import Conflict, Invalid
from app.jobs import idempotency
from tests import acting


@pytest.mark.usefixtures("here")
class TestOneAfterTheOther:
    def test_the_second_request_gets_the_answer_of_the_first(self) -> None:
        assert idempotency.begin("ada", "k", {"a": 1}) is None
        idempotency.finish("ada", "k", 201, {"job_id": "j"})
        assert idempotency.begin("ada", "k", {"a": 1}) == {"status": 201, "response": {"job_id": "j"}}

    def test_another_request_under_the_same_key_is_refused(self) -> None:
        idempotency.begin("ada", "k", {"a": 1})
        idempotency.finish("ada", "k", 201, {})
        with pytest.raises(Invalid):
            idempotency.begin("ada", "k", {"a": 2})

    def test_keys_belong_to_their_owner(self) -> None:
        idempotency.begin("ada", "k", {"a": 1})
        idempotency.finish("ada", "k", 201, {})
        assert idempotency.begin("eve", "k", {"a": 2}) is None

    def test_an_unfinished_request_is_a_conflict(self) -> None:
        idempotency.begin("ada", "k", {})
        with pytest.raises(Conflict):
            idempotency.begin("ada", "k", {})

    def test_a_key_is_free_again_after_a_day(self) -> None:
        idempotency.begin("ada", "k", {"a": 1})
        idempotency.finish("ada", "k", 201, {})
        db.run("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
        assert idempotency.begin("ada", "k", {"a": 2}) is None

    @pytest.mark.parametrize("key", ["", "x" * 201, "line\nbreak", "nul\x00"])
    def test_an_odd_key_is_refused(self, key: str) -> None:
        with pytest.raises(Invalid):
            idempotency.begin("ada", key, {})


@pytest.mark.usefixtures("quick")
def test_the_same_request_at_once_from_many_sides_makes_one_job() -> None:
    start = threading.Barrier(8)

    def request(_n: int) -> str:
        start.wait(10)
        with db.transaction():
            if known := idempotency.begin("ada", "k", {"agent": "test-noop"}):
                return str(known["response"]["job_id"])
            job_id = acting.submitted()
            idempotency.finish("ada", "k", 201, {"job_id": job_id})
            return job_id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(request, range(8)))) == 1
    with db.quick():
        assert db.value("SELECT count(*) FROM jobs") == 1


@pytest.mark.usefixtures("quick")
def test_a_request_that_failed_leaves_its_key_free() -> None:
    with pytest.raises(RuntimeError), db.transaction():
        idempotency.begin("ada", "k", {})
        raise RuntimeError
    with db.transaction():
        assert idempotency.begin("ada", "k", {}) is None
