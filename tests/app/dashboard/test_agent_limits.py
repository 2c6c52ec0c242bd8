"""What an agent's page says of its limits, and of what holds it back."""

from __future__ import annotations

from datetime import timedelta

from bs4 import BeautifulSoup, Tag

from app import clock
from app.agents import registry
from tests.app.dashboard.aside import Aside, agent, claimed
from tests.app.dashboard.visiting import Visitor

held = Aside(registry)


def _rows(soup: BeautifulSoup) -> dict[str, str]:
    names = soup.select("#limits dt")
    values: list[Tag] = soup.select("#limits dd")
    return {n.text: " ".join(v.text.split()) for n, v in zip(names, values, strict=True)}


def test_limits_budget_providers_and_watchdog_are_rows(admin: Visitor) -> None:
    agent(
        "measured",
        runner="llm",
        python=None,
        max_concurrent=3,
        rate_limit="10/minute",
        budget={"usd": 1.5, "tokens": 20_000},
        providers=["anthropic", "openai"],
        watchdog={"mode": "enforce", "stall_seconds": 120, "repeats": 4},
    )

    rows = _rows(admin.soup("/agents/measured"))

    assert rows["Health"] == "no worker has looked at it yet"
    assert rows["Held"] == "no"
    assert rows["Places"] == "0 of 3 taken"
    assert rows["Rate"] == "10/minute"
    assert rows["Budget of a job"] == "$1.50, 20,000 tokens"
    assert rows["Providers"] == "anthropic → openai"
    assert rows["Watchdog"] == "ends a job after 2 m 00 s without progress, or 4 equal tool calls"


def test_an_agent_without_limits_says_so(admin: Visitor) -> None:
    agent("free", watchdog={"mode": "off"})
    rows = _rows(admin.soup("/agents/free"))
    assert [rows[name] for name in ("Places", "Rate", "Budget of a job", "Watchdog")] == ["no limit"] * 3 + [
        "off"
    ]
    assert "Providers" not in rows


def test_holds_say_by_what_and_until_when(admin: Visitor) -> None:
    agent("spender")
    held.hold(
        "spender", "budget", "the team's 5 $ are spent", until=clock.now() + timedelta(hours=1), subject="b"
    )
    held.hold("spender", "provider_open", "anthropic rests", until=None, subject="anthropic")

    said = _rows(admin.soup("/ui/agents/spender/limits"))["Held"]

    assert "Budget the team's 5 $ are spent goes on" in said
    assert "Provider anthropic rests until somebody lifts it" in said


def test_who_holds_the_places_is_linked_for_those_who_may_know(admin: Visitor, user: Visitor) -> None:
    agent("narrow", max_concurrent=2)
    taken = claimed("narrow", task_name="Long work")

    seen = admin.soup("/agents/narrow")
    assert [a["href"] for a in seen.select("#limits .held a")] == [f"/jobs/{taken.job_id}"]
    assert _rows(seen)["Places"].startswith("1 of 2 taken")
    hidden = user.soup("/agents/narrow").select_one("#limits")
    assert hidden is not None
    assert "1 job, of others" in hidden.text
    assert "Long work" not in hidden.text
