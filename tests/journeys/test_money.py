"""What agents may spend: stopped to the cent in the middle of a stream, held when a day's budget is spent, told honestly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from bs4 import BeautifulSoup

from tests.actors.runners.playing_cli import ALL, HANG, UNTIL_THE_TOOL, Stage
from tests.journeys.asking import MODEL, admin_of, imported, ledger, messages, provided
from tests.journeys.person import Person
from tests.journeys.product import EMAIL, PASSWORD, Product, running
from tests.model_server import Say
from tests.openai_server import Slow, chat_model

TASK = {"task": "Tell a long story."}
USD_PER_MILLION = 20
# Of this a worker hears at most 240 words a second and meters twice in it: one step is 120 tokens, $0.0024.
LONG = Slow("word " * 20_000, 0.01)
LIMIT, CENT = Decimal("0.02"), Decimal("0.01")


@pytest.fixture(scope="module")
def bank() -> Iterator[Product]:
    """A product of which every dollar is spent here."""
    with running(LLM_PROVIDERS="openai", OPENAI_API_KEY="") as product:
        yield product


@pytest.fixture(scope="module")
def admin(bank: Product) -> Iterator[Person]:
    """Its admin, who has said what the model of two providers costs; a third one's has no price."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
    with admin_of(bank) as person:
        for provider_id in ("stopped", "daily"):
            price = {"input_usd": USD_PER_MILLION, "output_usd": USD_PER_MILLION, "valid_from": yesterday}
            person.call("PUT", "/api/v1/prices", json={"provider_id": provider_id, "model": MODEL, **price})
        yield person


@pytest.fixture(scope="module")
def page(bank: Product) -> Iterator[Callable[[str], str]]:
    """Opens pages of the dashboard as the admin, and answers what they say."""
    with httpx2.Client(base_url=bank.url, follow_redirects=True) as browser:
        form = BeautifulSoup(browser.get("/sign-in").text, "html.parser")
        token = form.select_one("input[name=csrf_token]")
        assert token is not None
        signing_in = {"csrf_token": token["value"], "email": EMAIL, "password": PASSWORD}
        assert browser.post("/sign-in", data=signing_in).status_code == 200

        def look(path: str) -> str:
            answer = browser.get(path)
            assert answer.status_code == 200, answer.text[:500]
            return BeautifulSoup(answer.text, "html.parser").get_text(" ", strip=True)

        yield look


def spent(rows: list[dict[str, Any]]) -> Decimal:
    """What rows of the ledger cost."""
    return sum((Decimal(str(row["cost_usd"])) for row in rows), Decimal(0))


def test_a_spender_is_stopped_to_the_cent_keeps_what_it_has_and_goes_on_with_more(admin: Person) -> None:
    with chat_model(LONG, Say("The end.")) as model, provided(admin, "stopped", model.url):
        agent = imported(
            admin, "spender", providers=["stopped"], budget={"usd": float(LIMIT)},
            llm={"max_output_tokens": 100_000},
        )  # fmt: skip
        job = admin.submit(agent, TASK)
        stopped = admin.reaches(job, "failed", 60)
        document = admin.get(f"/api/v1/jobs/{job}")
        more = admin.post(f"/api/v1/jobs/{job}/resume", {"usd": 1}, 201)
        ended = admin.reaches(more["job_id"], "completed")

    assert (stopped["status_reason"], stopped["error"]["code"]) == ("stopped_budget", "stopped_budget")
    assert (stopped["attempt"], stopped["retry_count"]) == (1, 0)
    assert "resume" in stopped["actions"]
    rows = ledger(admin, job)
    assert len(rows) > 1, "it is written while it streams"
    assert {row["cost_status"] for row in rows} == {"derived"}
    assert LIMIT <= spent(rows) < LIMIT + CENT
    tokens = sum(row["input_tokens"] + row["output_tokens"] for row in rows)
    assert spent(rows) == tokens * Decimal(USD_PER_MILLION) / 1_000_000
    assert document["result"]["result"].startswith("word word")
    words = len(document["result"]["result"].split())
    assert sum(row["output_tokens"] for row in rows) <= words < 20_000
    assert any("the budget of $0.02 for this job is spent" in said for said in messages(admin, job, "budget"))
    assert (more["retry_of_job_id"], ended["result"]["result"]) == (job, "The end.")
    assert admin.get(f"/api/v1/jobs/{more['job_id']}")["options"]["budget"]["usd"] == 1.02


def test_a_coding_cli_that_was_stopped_goes_on_in_the_same_session(admin: Person, tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage", [[{"write": "half.txt", "text": "half"}, UNTIL_THE_TOOL, HANG], [ALL]])
    agent = imported(
        admin, "cli-spender", runner="cli", cli=stage.work().config, budget={"tokens": 1000}, max_concurrent=1
    )
    job = admin.submit(agent, TASK)
    stopped = admin.reaches(job, "failed")
    more = admin.post(f"/api/v1/jobs/{job}/resume", {"tokens": 100_000}, 201)
    ended = admin.reaches(more["job_id"], "completed")

    assert stopped["status_reason"] == "stopped_budget"
    first, second = stage.call(0), stage.call(1)
    session = first["argv"][first["argv"].index("--session-id") + 1]
    assert second["argv"][second["argv"].index("--resume") + 1] == session == ended["result"]["session_id"]
    assert second["cwd"] == first["cwd"]
    assert "half.txt" in ended["result"]["files_changed"]
    assert not Path(first["cwd"]).exists(), "the last job clears up"


def test_a_days_budget_stops_who_runs_and_holds_who_waits_until_it_is_raised(admin: Person) -> None:
    with chat_model(LONG, Say("Hello.")) as model, provided(admin, "daily", model.url):
        agent = imported(admin, "daily-spender", providers=["daily"], llm={"max_output_tokens": 100_000})
        wish = {"name": "A day", "scope": "agent", "subject": agent, "unit": "usd", "limit": float(LIMIT)}
        budget = admin.post("/api/v1/budgets", {**wish, "period": "day"}, 201)["budget_id"]
        first = admin.reaches(admin.submit(agent, TASK), "failed", 60)
        waiting = [admin.submit(agent, TASK) for _ in range(2)]
        held = [admin.get(f"/api/v1/jobs/{job}/explain")["blockers"] for job in waiting]
        status, at_limit = admin.status(waiting[0]), admin.get(f"/api/v1/budgets/{budget}")
        # Jobs of other agents are claimed after them all the same.
        admin.reaches(admin.submit("test-noop"), "completed")
        asked, untouched = len(model.asked), [admin.status(job)["attempt"] for job in waiting]
        admin.call("PATCH", f"/api/v1/budgets/{budget}", json={"limit": 5})
        ended = [admin.reaches(job, "completed") for job in waiting]
        raised = admin.get(f"/api/v1/budgets/{budget}")

    assert first["status_reason"] == "stopped_budget"
    assert LIMIT <= spent(ledger(admin, first["job_id"])) < LIMIT + CENT
    assert (at_limit["state"], at_limit["spent_ratio"] >= 1, at_limit["reserved"]) == ("stopped", True, 0)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for blocker, *rest in held:
        assert (blocker["code"], rest) == ("budget", [])
        assert 'the budget "A day" of $0.02 a day is spent' in blocker["message"]
        assert datetime.fromisoformat(blocker["until"]) == midnight
    assert (status["status"], status["agent_hold"]["reason"]) == ("queued", "budget")
    assert (asked, untouched) == (1, [0, 0])
    assert [(each["attempt"], each["result"]["result"]) for each in ended] == [(1, "Hello.")] * 2
    everything = [row for job in (first["job_id"], *waiting) for row in ledger(admin, job)]
    assert raised["state"] == "ok"
    assert Decimal(str(raised["spent"])) == spent(everything)


def test_what_has_no_price_is_called_unpriced_and_never_no_dollars(
    admin: Person, page: Callable[[str], str]
) -> None:
    with chat_model(Say("Hello.")) as model, provided(admin, "nameless", model.url):
        agent = imported(admin, "unpriced-agent", providers=["nameless"], budget={"usd": 5})
        job = admin.submit(agent, TASK)
        ended = admin.reaches(job, "completed")

    # One row or two: what streams slowly is written down on the way.
    assert {(row["cost_usd"], row["cost_status"]) for row in ledger(admin, job)} == {(None, "unpriced")}
    assert (ended["usage"]["cost_usd"], ended["usage"]["unpriced_tokens"]) == (None, 1040)
    assert any("has no price" in said for said in messages(admin, job, "budget"))
    groups = {group["key"]: group for group in admin.get("/api/v1/usage", group_by="provider")["groups"]}
    assert groups["nameless"]["cash_usd"] is groups["nameless"]["notional_usd"] is None
    assert (groups["nameless"]["unpriced_tokens"], groups["nameless"]["unpriced_share"]) == (1040, 1)
    for by in ("agent", "model", "provider", "team", "day"):
        assert not no_dollars(page(f"/costs?by={by}"))
    assert "1,040 tok, unpriced" in page("/costs?by=provider")
    assert "1,040 tok, unpriced" in page(f"/jobs/{job}")
    assert not no_dollars(page(f"/jobs/{job}"))


def no_dollars(text: str) -> list[str]:
    """Where a page says that something cost nothing."""
    return re.findall(r".{0,40}\$0(?:\.0+)?(?![\d.]).{0,20}", text)


def test_the_look_for_no_dollars_finds_some() -> None:
    assert no_dollars("Cash $0.00 billed")
    assert no_dollars("$0")
    assert not no_dollars("$0.0012, $10.00, less than $0.0001")
