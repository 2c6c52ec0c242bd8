"""The page of providers: lamps in words, gauges, what admins do by plain forms, and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag

from app.db import Row
from app.providers import catalogue as _catalogue
from app.providers import pools as _pools
from app.providers import prices as _prices
from app.providers import queries as _queries
from app.settings import Settings
from tests.app.dashboard.aside import Aside, db
from tests.app.dashboard.visiting import Visitor

catalogue, prices, queries = Aside(_catalogue), Aside(_prices), Aside(_queries)
JOB = "0192aaaa-0000-7000-8000-000000000001"
BUILT_IN = ["ollama", "huggingface", "gemini", "anthropic", "openai"]


@pytest.fixture
def seeded(settings: Settings) -> None:
    """The providers that come with Callboard, as a first start leaves them."""
    catalogue.seed(settings)


def enter(provider_id: str, tokens: int = 10) -> Any:
    from app.db import db as real

    with real.transaction():
        return _pools.enter(provider_id, tokens=tokens, job_id=JOB, fence=1, seconds=60)


def fail(
    provider_id: str, kind: str = "quota", message: str = "no credit", wish: float | None = None
) -> None:
    from app.db import db as real

    ticket = enter(provider_id)
    with real.transaction():
        _pools.failed(ticket, kind, message, wish)


def card(soup: BeautifulSoup, provider_id: str) -> Tag:
    found = soup.select_one(f"#p-{provider_id}")
    assert found is not None
    return found


def words(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def order() -> list[str]:
    return [row["provider_id"] for row in queries.every() if row["position"] is not None]


def row(provider_id: str) -> Row:
    found: Row = queries.get(provider_id)
    return found


@pytest.mark.usefixtures("seeded")
def test_each_provider_has_a_lamp_that_is_also_a_word(viewer: Visitor) -> None:
    catalogue.note_health(
        {"anthropic": ("ready", None), "gemini": ("unavailable", "set GEMINI_API_KEY for the workers")}
    )
    catalogue.change("openai", {"enabled": False})
    fail("anthropic", "quota", "<b>no credit</b>", 3 * 86400)
    soup = viewer.soup("/providers")

    assert [c["id"] for c in soup.select("article")] == [f"p-{p}" for p in [*BUILT_IN, "local-demo"]]
    lamps = {
        c["id"][2:]: (words(c.select_one(".badge")), c.select_one(".lamp")["class"][1])
        for c in soup.select("article")
    }  # type: ignore[arg-type,index]
    assert lamps == {
        "ollama": ("Not looked at yet", "grey"),
        "huggingface": ("Not looked at yet", "grey"),
        "gemini": ("Not set up", "grey"),
        "anthropic": ("Left alone", "red"),
        "openai": ("Switched off", "grey"),
        "local-demo": ("Not looked at yet", "grey"),
    }
    told = words(card(soup, "anthropic"))
    assert (
        "Takes no calls for now: its quota is used up. Next try" in told
    )  # the script makes "in 3d" of the time
    assert "quota <b>no credit</b>" in told
    assert "Set GEMINI_API_KEY for the workers" in words(card(soup, "gemini"))
    assert "Only agents that name it ask it" in words(card(soup, "local-demo"))
    assert soup.select(".provider button, .provider footer, #set-price") == []


@pytest.mark.usefixtures("seeded")
def test_while_nothing_is_set_up_the_page_says_what_to_do(viewer: Visitor) -> None:
    notice = viewer.soup("/providers").select_one("#nothing-usable")
    assert notice is not None
    assert "ANTHROPIC_API_KEY" in words(notice)

    catalogue.note_health({"ollama": ("ready", None)})
    assert viewer.soup("/providers").select_one("#nothing-usable") is None
    fail("ollama", "quota")
    assert viewer.soup("/providers").select_one("#nothing-usable") is None  # it is set up, and rests


def test_before_the_first_seed_there_is_nothing(viewer: Visitor) -> None:
    assert "No providers yet" in words(viewer.soup("/providers").select_one("#provider-list"))  # type: ignore[arg-type]


@pytest.mark.usefixtures("seeded")
def test_the_gauges_show_how_full_the_pools_are(viewer: Visitor) -> None:
    catalogue.change("openai", {"requests_per_minute": 4, "tokens_per_minute": 60000, "max_concurrent": 2})
    enter("openai", tokens=30000)
    gauges = [words(line) for line in card(viewer.soup("/providers"), "openai").select(".gauges > div")]

    assert gauges[0] == "Requests 1 of 4 requests a minute"
    assert gauges[1].startswith(("Tokens 30,000 of 60,000", "Tokens 29,9"))
    assert gauges[2] == "Calls 1 of 2 calls at once"
    assert (
        words(card(viewer.soup("/providers"), "gemini").select(".gauges > div")[0])
        == "Requests no limit requests a minute"
    )


@pytest.mark.usefixtures("seeded")
def test_an_admin_resets_and_switches(admin: Visitor) -> None:
    fail("anthropic")
    buttons = [words(b) for b in card(admin.soup("/providers"), "anthropic").select("footer button")]
    assert buttons == ["Reset Anthropic", "Switch off Anthropic", "Up Anthropic", "Down Anthropic"]

    assert "Anthropic takes calls again." in admin.post("/providers/anthropic/reset", follow=True).text
    assert row("anthropic")["state"] == "closed"
    admin.post("/providers/anthropic/disable")
    assert row("anthropic")["enabled"] is False
    assert "Switch on Anthropic" in words(card(admin.soup("/providers"), "anthropic"))
    admin.post("/providers/anthropic/enable")
    assert row("anthropic")["enabled"] is True
    assert [line["action"] for line in db.rows("SELECT action FROM audit_log WHERE subject = 'anthropic' ORDER BY id")] == [
        "provider.reset", "provider.changed", "provider.changed",
    ]  # fmt: skip


@pytest.mark.usefixtures("seeded")
def test_an_admin_arranges_the_order(admin: Visitor) -> None:
    admin.post("/providers/anthropic/up")
    assert order() == ["ollama", "huggingface", "anthropic", "gemini", "openai"]
    admin.post("/providers/ollama/down")
    assert order() == ["huggingface", "ollama", "anthropic", "gemini", "openai"]
    admin.post("/providers/huggingface/up")  # it is the first already
    admin.post("/providers/openai/out")
    assert order() == ["huggingface", "ollama", "anthropic", "gemini"]
    admin.post("/providers/openai/down")
    assert order()[-1] == "openai"
    assert "answers only agents that name it" in admin.post("/providers/local-demo/up", follow=True).text
    assert "local-demo" not in order()
    first = [words(b) for b in card(admin.soup("/providers"), "huggingface").select("footer button")]
    assert "Up Hugging Face" not in first


@pytest.mark.usefixtures("seeded")
def test_the_form_changes_what_was_changed_and_nothing_else(admin: Visitor) -> None:
    soup = admin.soup("/providers/gemini")
    form = {f["name"]: f.get("value", "") for f in soup.select("main form input[name^='p.']")}
    form |= {s["name"]: words(s.select_one("[selected]")) for s in soup.select("main form select")}  # type: ignore[arg-type]
    assert form["p.model"] == "gemini-2.5-flash"

    answer = admin.post("/providers/gemini", form | {"p.model": "gemini-9", "p.max_concurrent": "3"})
    assert answer.status_code == 303
    kept = row("gemini")
    assert (kept["model"], kept["max_concurrent"]) == ("gemini-9", 3)
    assert sorted(kept["admin_set"]) == ["max_concurrent", "model"]
    admin.post("/providers/gemini", form | {"p.model": "gemini-9", "p.max_concurrent": ""})
    assert row("gemini")["max_concurrent"] is None


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"p.base_url": "ftp://x"}, "must be an address like"),
        ({"p.base_url": "https://u:p@x/v1"}, "must carry no user name"),
        ({"p.key_name": "sk-live-123"}, "not the key itself"),
        ({"p.key_name": "DATABASE_URL"}, "Callboard's own"),
        ({"p.model": ""}, "must be a text of 1 to 200"),
        ({"p.max_concurrent": "many"}, "must be a whole number"),
        ({"p.max_concurrent": "0"}, "must be a whole number from 1"),
        ({"p.kind": "telepathy"}, "must be one of openai, anthropic"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    admin: Visitor, changes: dict[str, str], complaint: str
) -> None:
    form = {
        "p.title": "Gemini",
        "p.base_url": "https://h/v1",
        "p.model": "m",
        "p.kind": "openai",
        "p.billing": "api",
    }
    before = row("gemini")
    answer = admin.post("/providers/gemini", form | changes)
    soup = BeautifulSoup(answer.text, "html.parser")

    assert answer.status_code == 422
    (wrong,) = soup.select(".field .wrong")
    assert complaint in wrong.text
    assert row("gemini")["updated_at"] == before["updated_at"]


def test_an_admin_adds_a_provider_and_removes_it(admin: Visitor) -> None:
    form = {"p.provider_id": "acme", "p.base_url": "https://models.acme.example/v1/", "p.model": "acme-1",
            "p.kind": "openai", "p.billing": "api", "p.key_name": "ACME_API_KEY", "p.title": ""}  # fmt: skip
    assert admin.post("/add-provider", form).status_code == 303
    kept = row("acme")
    assert (kept["base_url"], kept["title"], kept["source"], kept["position"]) == (
        "https://models.acme.example/v1", "acme", "admin", 1,
    )  # fmt: skip
    again = admin.post("/add-provider", form)
    assert again.status_code == 422
    assert "there is a provider" in again.text
    assert admin.post("/add-provider", form | {"p.provider_id": "Acme Inc"}).status_code == 422

    assert "acme is removed." in admin.post("/providers/acme/remove", follow=True).text
    assert admin.get("/providers/acme").status_code == 404


@pytest.mark.usefixtures("seeded")
def test_what_comes_with_callboard_cannot_be_removed(admin: Visitor) -> None:
    assert "switch it off instead" in admin.post("/providers/openai/remove", follow=True).text
    assert row("openai")["enabled"] is True


@pytest.mark.usefixtures("seeded")
def test_only_admins_change_anything(user: Visitor, viewer: Visitor) -> None:
    for visitor in (user, viewer):
        assert visitor.get("/providers").status_code == 200
        assert visitor.get("/providers/openai").status_code == 403
        assert visitor.get("/add-provider").status_code == 403
        for path in ("/providers/openai", "/providers/openai/reset", "/providers/openai/up", "/add-provider",
                     "/prices", "/prices/remove"):  # fmt: skip
            assert visitor.post(path).status_code == 403, path
    assert row("openai")["admin_set"] == []


@pytest.mark.usefixtures("seeded")
def test_there_are_no_other_verbs_or_providers(admin: Visitor) -> None:
    assert admin.post("/providers/openai/explode").status_code == 404
    assert admin.post("/providers/nobody/reset").status_code == 404
    assert admin.client.post("/providers/openai/disable").status_code == 400, "without the token"
    assert row("openai")["enabled"] is True


@pytest.mark.usefixtures("seeded")
def test_an_unchanged_panel_is_a_304(admin: Visitor) -> None:
    first = admin.get("/ui/providers")
    assert first.headers["HX-Poll"].endswith("ms")

    assert admin.get("/ui/providers", **{"If-None-Match": first.headers["ETag"]}).status_code == 304


# -- prices

PRICE = {"p.provider_id": "openai", "p.model": "gpt-6-sol", "p.valid_from": "2026-01-31", "p.input_usd": "0.123456",
         "p.output_usd": "2", "p.cache_read_usd": "", "p.cache_write_usd": "0"}  # fmt: skip


@pytest.mark.usefixtures("seeded")
def test_what_models_cost_and_who_says_so(viewer: Visitor) -> None:
    lines = {
        words(tr.select("td")[0]): words(tr) for tr in viewer.soup("/providers").select("#prices tbody tr")
    }

    assert "costs nothing" in lines["mistral:latest"]
    assert "genai-prices" in lines["claude-sonnet-5-5"]
    catalogue.change("openai", {"model": "nobody-knows-it"})
    assert "unpriced" in words(viewer.soup("/providers").select_one("#prices"))  # type: ignore[arg-type]


@pytest.mark.usefixtures("seeded")
def test_an_admin_sets_a_price_and_removes_it(admin: Visitor) -> None:
    assert admin.post("/prices", PRICE).status_code == 303
    (kept,) = prices.listed()
    assert (kept["input_usd"], kept["output_usd"], kept["cache_read_usd"], kept["cache_write_usd"]) == (
        Decimal("0.123456"), Decimal(2), None, Decimal(0),
    )  # fmt: skip
    soup = admin.soup("/providers")
    assert "gpt-6-sol" in words(soup.select_one("#own-prices"))  # type: ignore[arg-type]
    assert "own 2026-01-31" in words(soup.select_one("#prices"))  # type: ignore[arg-type]

    form = {f["name"]: f["value"] for f in soup.select("#own-prices tbody input")}
    admin.post("/prices/remove", form)
    assert prices.listed() == []
    assert admin.post("/prices/remove", form).status_code == 404
    assert admin.post("/prices/remove", form | {"valid_from": "someday"}).status_code == 404


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"p.input_usd": ""}, "is required"),
        ({"p.input_usd": "-1"}, "must be an amount from 0"),
        ({"p.input_usd": "0.0000001"}, "at most six decimals"),
        ({"p.input_usd": "nan"}, "at most six decimals"),
        ({"p.input_usd": "cheap"}, "must be a number"),
        ({"p.valid_from": "tomorrow"}, "must be a day like"),
        ({"p.model": ""}, "must be a text"),
    ],
)
def test_what_cannot_be_a_price(admin: Visitor, changes: dict[str, str], complaint: str) -> None:
    answer = admin.post("/prices", PRICE | changes)

    assert answer.status_code == 422
    assert complaint in words(BeautifulSoup(answer.text, "html.parser").select_one("#set-price"))  # type: ignore[arg-type]
    assert prices.listed() == []
