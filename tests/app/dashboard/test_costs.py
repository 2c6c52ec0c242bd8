"""The pages of costs and budgets: honest figures, and forms that work without JavaScript."""

from __future__ import annotations

from typing import Any

import pytest
from bs4 import BeautifulSoup

from app.budgets import ledger
from app.budgets.ledger import Spender
from app.db import db
from app.jobs import spending
from tests import acting
from tests.app.budgets.spending import part
from tests.app.dashboard.visiting import Visitor


def _spend(usd: str | None, tokens: int = 12_345, agent_id: str = "test-noop", **told: Any) -> None:
    who = Spender(
        job_id="01890000-0000-7000-8000-000000000002", fence=1, agent_id=agent_id, submitted_by="ada"
    )
    with db.transaction():
        ledger.append(who, [part(usd, tokens, **told)])


def _budget(**wish: Any) -> str:
    told = {"name": "Research", "scope": "global", "unit": "usd", "limit_amount": 10} | wish
    with db.transaction():
        return str(spending.create(by="ada", **told)["budget_id"])


def _rows(statement: str = "SELECT * FROM budgets") -> list[dict[str, Any]]:
    with db.quick():
        return db.rows(statement)


def _text(soup: BeautifulSoup, where: str) -> str:
    found = soup.select_one(where)
    assert found is not None, where
    return " ".join(found.text.split())


class TestCosts:
    def test_nothing_was_used(self, user: Visitor) -> None:
        assert "Nothing was used" in _text(user.soup("/costs"), "#costs")

    def test_cash_price_list_and_what_has_no_price(self, user: Visitor) -> None:
        _spend("1.25", 100)
        _spend("0.75", 100, billing="subscription")
        _spend(None, 200)
        soup = user.soup("/costs")

        assert (_text(soup, "#cash"), _text(soup, "#notional"), _text(soup, "#unpriced")) == (
            "$1.25",
            "$2.00",
            "50.0 %",
        )
        assert "$2.00, 400 tok (200 unpriced)" in _text(soup, "#c-1")
        assert soup.select_one("#c-1 a")["href"] == "/agents/test-noop"  # type: ignore[index]

    def test_what_is_unpriced_is_never_zero_dollars(self, user: Visitor) -> None:
        _spend(None)
        for by in ("agent", "model", "provider", "team", "day"):
            soup = user.soup(f"/costs?by={by}")
            line = _text(soup, "#c-1")
            assert "12,345 tok, unpriced" in line
            assert "$" not in _text(soup, "#costs")

    @pytest.mark.parametrize("query", ["by=nonsense&days=-1", "by=day&days=7", "by=model&days=90"])
    def test_any_address_is_a_page(self, viewer: Visitor, query: str) -> None:
        assert viewer.get(f"/costs?{query}").status_code == 200
        assert viewer.get(f"/ui/costs?{query}").headers["HX-Poll"] == "15000ms"

    def test_a_models_name_is_shown_as_text(self, user: Visitor) -> None:
        _spend("1", model="<script>x</script>")
        assert "<script>x" not in user.get("/costs?by=model").text


class TestBudgets:
    def test_there_are_none_yet(self, admin: Visitor, user: Visitor) -> None:
        assert "Make the first one" in _text(admin.soup("/budgets"), "#budgets")
        assert "Make the first one" not in _text(user.soup("/budgets"), "#budgets")

    @pytest.mark.parametrize(
        ("spent", "colour", "words"),
        [
            ("5", "green", "$5.00 of $10.00 a month"),
            ("8", "amber", "$8.00 of $10.00 a month"),
            ("12", "red", "$12.00 of $10.00 a month. New work is held until then."),
        ],
    )
    def test_the_bar_has_the_colour_of_what_is_spent(
        self, user: Visitor, spent: str, colour: str, words: str
    ) -> None:
        _spend(spent)
        budget_id = _budget()
        soup = user.soup("/budgets")
        bar = soup.select_one(f"#b-{budget_id} progress")

        assert bar is not None
        assert (bar["class"], int(bar["value"])) == ([colour], min(100, int(spent) * 10))  # type: ignore[arg-type]
        assert words in _text(soup, f"#b-{budget_id}")
        assert ("1 spent" in _text(soup, "#nav")) is (colour == "red")

    def test_one_is_made_changed_and_deleted_by_forms_alone(self, admin: Visitor) -> None:
        form = admin.soup("/budgets/new?covers=agent:test-noop").select_one("main form")
        assert form is not None
        assert form.select_one("#subject option[selected]")["value"] == "agent:test-noop"  # type: ignore[index]

        wish = {"name": "Nightly", "covers": "agent:test-noop", "unit": "tokens", "limit": "5,000", "period": "rolling",
                "rolling_days": "7", "warn": "75", "enabled": "on"}  # fmt: skip
        made = admin.post("/budgets/new", wish, follow=True)
        assert "The budget Nightly holds from now on." in made.text
        (row,) = _rows()
        assert (row["scope"], row["subject"], row["unit"], row["limit_amount"]) == (
            "agent",
            "test-noop",
            "tokens",
            5000,
        )
        assert (row["period"], row["rolling_days"], float(row["warn_ratio"])) == ("rolling", 7, 0.75)
        assert _rows("SELECT budgeted FROM agents WHERE agent_id = 'test-noop'") == [{"budgeted": True}]

        path = f"/budgets/{row['budget_id']}"
        shown = admin.soup(path)
        assert shown.select_one("#limit")["value"] == "5000"  # type: ignore[index]
        assert shown.select_one("#warn_ratio")["value"] == "75"  # type: ignore[index]
        admin.post(path, {"name": "Nightly", "limit": "6000", "period": "day", "warn": "80"})
        (row,) = _rows()
        assert (row["limit_amount"], row["period"], row["rolling_days"], row["enabled"]) == (
            6000,
            "day",
            None,
            False,
        )
        assert "Switched off" in _text(admin.soup("/budgets"), "#budgets")

        gone = admin.post(f"{path}/delete", follow=True)
        assert "The budget Nightly is deleted" in gone.text
        assert _rows() == []

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"covers": "agent:nobody"}, "subject"),
            ({"limit": "much"}, "limit"),
            ({"limit": ""}, "limit"),
            ({"period": "rolling", "rolling_days": ""}, "rolling_days"),
            ({"warn": "200"}, "warn_ratio"),
            ({"warn": "often"}, "warn_ratio"),
            ({"unit": "yen"}, "unit"),
        ],
    )
    def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
        self, admin: Visitor, change: dict[str, str], field: str
    ) -> None:
        wish = {
            "name": "Kept",
            "covers": "global",
            "unit": "usd",
            "limit": "5",
            "period": "month",
            "warn": "80",
        } | change
        answer = admin.post("/budgets/new", wish)
        soup = BeautifulSoup(answer.text, "html.parser")

        assert answer.status_code == 422
        assert soup.select_one(f"#{field}-wrong") is not None
        assert f"{field}-wrong" in soup.select_one(f"#{field}")["aria-describedby"]  # type: ignore[index]
        assert soup.select_one("#limit")["value"] == wish["limit"]  # type: ignore[index]
        assert _rows() == []

    def test_raising_one_lets_held_work_go_on(self, admin: Visitor) -> None:
        _spend("12")
        budget_id = _budget()
        with db.quick():
            job_id = acting.submitted()
            assert acting.claim() is None
        admin.post(
            f"/budgets/{budget_id}",
            {"name": "Research", "limit": "20", "period": "month", "warn": "80", "enabled": "on"},
        )
        with db.quick():
            taken = acting.claim()
        assert taken is not None
        assert taken.job_id == job_id

    def test_everybody_looks_and_only_admins_change(self, user: Visitor, viewer: Visitor) -> None:
        budget_id = _budget()
        for visitor in (user, viewer):
            assert "Research" in visitor.get("/budgets").text
            for path in ("/budgets/new", f"/budgets/{budget_id}"):
                assert visitor.get(path).status_code == 403
                assert visitor.post(path).status_code == 403
            assert visitor.post(f"/budgets/{budget_id}/delete").status_code == 403

    def test_what_is_not_there(self, admin: Visitor) -> None:
        for path in ("/budgets/nonsense", "/budgets/01890000-0000-7000-8000-000000000000"):
            assert admin.get(path).status_code == 404
