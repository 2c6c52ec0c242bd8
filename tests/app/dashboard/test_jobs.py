"""The list of jobs: the filter bar, pages, columns, the menu of a row, and what is said of those that wait."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from app.agents import registry
from app.dashboard import job_columns, job_completion, jobs
from app.errors import PermanentError
from app.jobs import pools
from app.jobs import words as language
from app.jobs.states import Reason
from app.settings import ROOT
from tests.app.dashboard.aside import Aside, claimed, db, lifecycle, status, submitted
from tests.app.dashboard.visiting import Visitor, words

HOSTILE = "<img src=x onerror=alert(1)>\"'`{{7*7}}"
_registry, _pools = Aside(registry), Aside(pools)


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    """No counts of other tests."""
    jobs.forget()
    job_completion.forget()


def _listed(visitor: Visitor, query: str = "") -> list[str]:
    return [str(box["value"]) for box in visitor.soup(f"/jobs{query}").select("input[name=id]")]


def _failed(message: str, **how: object) -> str:
    claim = claimed(**how)
    lifecycle.fail(claim, PermanentError(message), Reason.PERMANENT)
    return str(claim.job_id)


def test_filters_narrow_the_list(admin: Visitor) -> None:
    low = submitted(priority="low", tags=("a",), task_name="Count the sheep")
    other = submitted("test-echo", priority="high")

    assert _listed(admin) == [other, low]
    for query in (
        "?priority=low", "?agent=test-noop", "?tag=a", "?q=sheep", "?q=sheep+count", "?q=agent:test-noop",
        "?q=priority:low", "?q=tag:a,b", "?q=-agent:test-echo", "?q=-priority:high", f"?q={low[:18]}",
        f"?q=id:{low}", f"?q=id:{low[:18]}", f"?q=id:{low[-8:]}", f"?q={low[-8:]}", "?q=status:waiting+tag:a&agent=test-noop",
    ):  # fmt: skip
        assert _listed(admin, query) == [low], query
    for query in ("?state=running", "?q=sheep+wolves", "?q=-status:waiting", "?q=until:1h", "?q=cost:>1"):
        assert _listed(admin, query) == [], query
    for query in ("?state=waiting&since=1h", "?q=status:queued,failed", "?q=by:me", "?q=pool:general"):
        assert _listed(admin, query) == ([] if query == "?q=by:me" else [other, low]), query


def test_conditions_of_the_same_kind_hold_together(admin: Visitor) -> None:
    both, one = submitted(tags=("a", "two words")), submitted(tags=("a",))

    assert _listed(admin, "?q=tag:a") == [one, both]
    assert _listed(admin, '?q=tag:a+tag:"two+words"') == [both]
    assert _listed(admin, '?q=tag:a+-tag:"two+words"') == [one]
    assert _listed(admin, "?q=-status:queued") == []


def test_a_name_in_the_address_stands_in_place_of_what_the_text_says(admin: Visitor) -> None:
    job_id = submitted(priority="low")
    submitted("test-echo")

    assert _listed(admin, "?q=agent:test-echo&agent=test-noop") == [job_id]
    box = admin.soup("/jobs?q=nap&state=waiting&priority=low").select_one("#q")
    assert box
    assert box["value"] == "status:waiting priority:low nap"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?state=odd", "There is no status `odd`"),
        ("?priority=odd", "There is no priority `odd`"),
        ("?since=odd", "since: is 30m, 24h"),
        ("?q=agnt:x", "Unknown qualifier `agnt:`, did you mean `agent:`?"),
    ],
)
def test_what_cannot_be_understood_is_told_and_nothing_is_shown(
    admin: Visitor, query: str, told: str
) -> None:
    submitted()
    soup = admin.soup(f"/jobs{query}")

    assert told.replace("`", "") in words(soup.select_one("#q-wrong")).replace(" ,", ",").replace(" ?", "?")
    assert soup.select("input[name=id]") == []
    box = soup.select_one("#q")
    assert box
    assert (box["aria-invalid"], box["aria-describedby"]) == ("true", "q-wrong")


def test_a_mistake_comes_with_a_link_that_mends_it(admin: Visitor) -> None:
    job_id = submitted(tags=("x",))
    link = admin.soup("/jobs?q=tg:x").select_one("#q-wrong a")
    assert link

    assert _listed(admin, str(link["href"]).removeprefix("/jobs")) == [job_id]


def test_errors_are_found_by_type_and_message_by_those_who_may_read_them(
    admin: Visitor, viewer: Visitor, user: Visitor
) -> None:
    job_id = _failed("the secret word is swordfish")

    assert _listed(admin, "?q=error:swordfish") == [job_id]
    assert _listed(admin, "?q=swordfish") == [job_id]
    assert _listed(admin, "?q=error:PermanentError") == [job_id]
    assert _listed(viewer, "?q=error:PermanentError") == [job_id]
    for query in ("?q=error:swordfish", "?q=swordfish"):
        assert _listed(viewer, query) == []
        assert _listed(user, query) == []


def test_everybody_finds_their_own(user: Visitor, admin: Visitor) -> None:
    mine, theirs = submitted(submitted_by=user.user_id), submitted(submitted_by=admin.user_id)
    email = db.value("SELECT email FROM users WHERE user_id = %(id)s::uuid", id=user.user_id)

    assert _listed(user) == _listed(user, "?q=by:me") == [mine]
    assert _listed(user, f"?q=by:{admin.user_id}") == []
    assert _listed(admin, "?q=by:me") == [theirs]
    assert _listed(admin, f"?q=by:{quote(email)}") == [mine]


ODD = 'tag:"a/b & ü #1 \'q\' \\"x\\" = 100%",plain agent:x "two\\nlines"'


def test_the_filter_survives_signing_in(stranger: Visitor, admin: Visitor) -> None:
    answer = stranger.get(f"/jobs?q={quote(ODD)}")
    back = parse_qs(urlsplit(answer.headers["Location"]).query)["next"][0]

    assert answer.status_code == 302
    page = admin.soup(back)
    box = page.select_one("#q")
    assert box
    assert box["value"] == ODD


def test_every_link_of_the_page_keeps_the_filter(admin: Visitor) -> None:
    odd = "a/b & ü #1 'q' \"x\" = 100%"
    submitted(tags=(odd,))
    text = str(language.Asked((language.Term("tag", (odd,)),)))
    soup = admin.soup(f"/jobs?q={quote(text)}&more=on")

    assert len(soup.select("input[name=id]")) == 1
    links = [parse_qs(urlsplit(str(link["href"])).query)["q"][0] for link in soup.select("#tabs a")]
    statuses = [language.parse(link).values("status") for link in links]
    assert statuses == [(), *((name,) for name in jobs.TABS if name)]
    assert {language.parse(link).values("tag") for link in links} == {(odd,)}
    hidden = soup.select(
        "#bulk input[name=q], #columns input[name=q], #views input[name=q], #more input[name=tag]"
    )
    assert [field["value"] for field in hidden] == [text, text, odd, text]


def test_the_parts_of_a_filter_can_be_taken_away_one_by_one(admin: Visitor) -> None:
    soup = admin.soup("/jobs?q=status:failed+-agent:test-noop+nap")
    chips = soup.select(".chips .tag")

    assert [words(chip) for chip in chips] == ["status failed", "not agent test-noop", "nap"]
    left = [parse_qs(urlsplit(str(chip.a["href"])).query)["q"][0] for chip in chips if chip.a]
    assert left == ["-agent:test-noop nap", "status:failed nap", "status:failed -agent:test-noop"]


def test_a_filter_that_fits_nothing_offers_wider_ones(admin: Visitor) -> None:
    submitted()
    soup = admin.soup("/jobs?q=status:failed+since:1h")

    assert "No job fits this filter" in words(soup.select_one(".empty"))
    offered = [words(link) for link in soup.select(".empty a")]
    assert offered == ["without status:failed", "without since:1h", "Show all jobs"]


def test_an_empty_list_teaches_how_to_fill_it(admin: Visitor, viewer: Visitor) -> None:
    assert "curl -X POST http://localhost/api/v1/jobs" in words(admin.soup("/jobs").select_one(".empty"))
    assert viewer.soup("/jobs").select_one(".empty a[href='/submit']") is None


@pytest.mark.parametrize("after", ["nonsense", "2026-01-01", "~", "2026-01-01T00:00:00~x"])
def test_a_place_that_never_was_is_a_clear_error(admin: Visitor, after: str) -> None:
    assert admin.get(f"/jobs?after={after}").status_code in (400, 404)


def test_pages_follow_each_other_without_gaps(admin: Visitor) -> None:
    ids = [submitted(tags=("many",)) for _ in range(120)]
    seen: list[str] = []
    path: str | None = "/jobs?tag=many&state=waiting"
    while path:
        soup = admin.soup(path)
        box = soup.select_one("#q")
        assert box
        assert box["value"] == "status:waiting tag:many"
        seen += [str(box["value"]) for box in soup.select("input[name=id]")]
        link = soup.select_one("a[rel=next]")
        path = str(link["href"]) if link else None

    assert seen == ids[::-1]


def test_tabs_count_what_the_filter_leaves(admin: Visitor) -> None:
    _failed("no")
    submitted(tags=("a",))
    submitted()

    plain = [words(tab) for tab in admin.soup("/jobs").select("#tabs a")]
    assert plain == [
        "All 3",
        "Waiting 2",
        "Running 0",
        "Needs a person 0",
        "Completed 0",
        "Failed 1",
        "Cancelled 0",
    ]
    assert [words(tab) for tab in admin.soup("/jobs?q=tag:a").select("#tabs a")][:2] == ["All", "Waiting"]
    later = admin.soup("/ui/jobs/tabs?q=tag:a")
    assert [words(tab) for tab in later.select("#tabs a")][:3] == ["All 1", "Waiting 1", "Running 0"]


@pytest.mark.parametrize(
    ("query", "here"),
    [
        ("", "All"),
        ("?state=failed", "Failed"),
        ("?q=status:waiting+x", "Waiting"),
        ("?q=status:failed,waiting", None),
    ],
)
def test_the_tab_of_the_filter_is_marked(admin: Visitor, query: str, here: str | None) -> None:
    marked = [tab.contents[0] for tab in admin.soup(f"/jobs{query}").select("#tabs a[aria-current]")]

    assert [str(word).strip() for word in marked] == ([here] if here else [])


def test_nothing_of_a_job_is_taken_for_html(admin: Visitor) -> None:
    hostile = {"task_name": HOSTILE, "tags": (HOSTILE[:100],), "submitted_by": HOSTILE[:60]}
    lifecycle.fail(claimed("test-echo", **hostile), PermanentError(HOSTILE), Reason.PERMANENT)
    claimed("test-echo", **hostile)
    admin.post("/jobs/columns", {"column": list(job_columns.COLUMNS)})
    admin.post("/jobs/views", {"name": HOSTILE[:60], "q": f'"{HOSTILE[:28]}"'})
    db.run(
        "UPDATE jobs SET worker_id = %(bad)s, current_step = %(bad)s WHERE status = 'running'", bad=HOSTILE
    )

    for query in ("", f"?q={quote(chr(34) + HOSTILE[:28] + chr(34))}", f"?q={quote('agnt:' + HOSTILE[:20])}"):
        text = admin.get(f"/jobs{query}").text
        assert "<img src=x" not in text
        assert "{{7*7}}" in text or "agnt" in query
    assert "&lt;img src=x" in admin.get("/jobs").text


# -- columns


def _heads(visitor: Visitor) -> list[str]:
    return [words(head) for head in visitor.soup("/jobs").select("th")]


def test_columns_are_chosen_and_kept_in_a_cookie(admin: Visitor) -> None:
    submitted(tags=("blue",))
    usual = _heads(admin)
    assert usual == ["Select", "Job", "State", "Progress", "Priority", "Attempt", "Cost", "Age", "Actions"]

    answer = admin.post("/jobs/columns", {"column": ["tags", "state", "nonsense"], "q": "status:waiting"})
    assert answer.headers["Location"] == "/jobs?q=status:waiting"
    assert _heads(admin) == ["Select", "Job", "State", "Tags", "Actions"]
    panel = admin.soup("/ui/jobs/table")
    assert [words(head) for head in panel.select("th")] == ["Select", "Job", "State", "Tags", "Actions"]

    admin.post("/jobs/columns", {})
    assert _heads(admin) == ["Select", "Job", "Actions"]
    admin.post("/jobs/columns", {"usual": "on"})
    assert _heads(admin) == usual


def test_every_column_shows_a_job(admin: Visitor) -> None:
    claim = claimed(tags=("blue",), submitted_by=admin.user_id)
    db.run("UPDATE jobs SET usage = %(usage)s", usage=json.dumps({"input_tokens": 1200, "output_tokens": 34}))
    admin.post("/jobs/columns", {"column": list(job_columns.COLUMNS)})
    row = admin.soup("/jobs").select_one("[data-row]")
    assert row

    cells = {str(cell["class"][0]): words(cell) for cell in row.select("td")}
    assert cells["c-cost"] == "1,234 tok unpriced"
    assert cells["c-worker"] == claim.worker_id
    assert cells["c-tags"] == "blue"
    assert cells["c-submitter"] == "you"
    assert cells["c-state"].startswith("Running")


@pytest.mark.parametrize("names", [(), job_columns.USUAL, tuple(job_columns.COLUMNS)])
def test_the_stylesheet_has_room_for_every_choice(names: tuple[str, ...]) -> None:
    css = (ROOT / "static" / "css" / "jobs.css").read_text()

    assert f".w-{job_columns.room(names)} " in css
    assert all(f".c-{name}" in css for name in names)


# -- what waits says why


def _chips(visitor: Visitor) -> dict[str, str]:
    soup = visitor.soup("/jobs")
    return {
        str(row["id"])[2:]: words(row.select_one(".chip"))
        for row in soup.select("[data-row]")
        if row.select_one(".chip")
    }


def test_every_waiting_job_says_why_in_a_few_words(admin: Visitor) -> None:
    running = claimed("test-sleeper").job_id
    job_id = submitted()
    off = submitted("test-echo")
    _registry.enable("test-echo", False)

    said = _chips(admin)
    assert said == {job_id: "no worker", off: "agent off"}
    assert running not in said
    link = admin.soup("/jobs").select_one(f"#j-{job_id} .chip")
    assert link
    assert link["href"] == f"/jobs/{job_id}#why"
    _pools.pause("general", by="ada")
    assert _chips(admin)[job_id] == "pool paused"


# -- the menu of a row


def test_a_row_knows_what_can_be_done_with_it(admin: Visitor, viewer: Visitor) -> None:
    failed, waiting = _failed("no"), submitted()

    def can(visitor: Visitor, job_id: str) -> str:
        link = visitor.soup("/jobs").select_one(f"#j-{job_id} [data-menu]")
        assert link
        return str(link["data-menu"])

    assert can(admin, waiting) == "cancel change_priority"
    assert can(admin, failed) == "retry replay"
    assert can(viewer, failed) == ""


def test_an_action_of_the_menu_leads_back_to_the_same_list(admin: Visitor) -> None:
    job_id = submitted(tags=("kept",))
    where = {"q": "tag:kept status:waiting", "after": "2026-01-01T00:00:00+00:00~" + job_id}

    answer = admin.post("/jobs/act", {"do": f"cancel:{job_id}", **where})

    assert status(job_id) == "cancelled"
    assert {k: v[0] for k, v in parse_qs(urlsplit(answer.headers["Location"]).query).items()} == where
    again = admin.post("/jobs/act", {"do": f"cancel:{job_id}"}, follow=True)
    assert "Not done:" in again.text
    assert "Sent in again as" in admin.post("/jobs/act", {"do": f"retry:{job_id}"}, follow=True).text


@pytest.mark.parametrize(
    "do", ["", "delete:x", "cancel:", "cancel:x", f"cancel:{'0' * 8}-0000-7000-8000-{'0' * 12}"]
)
def test_nonsense_in_the_menu_is_refused(admin: Visitor, do: str) -> None:
    assert admin.post("/jobs/act", {"do": do}).status_code in (400, 404)


def test_nobody_acts_on_others_jobs(user: Visitor, viewer: Visitor) -> None:
    theirs = submitted(submitted_by="somebody else")

    assert user.post("/jobs/act", {"do": f"cancel:{theirs}"}).status_code == 404
    assert viewer.post("/jobs/act", {"do": f"cancel:{theirs}"}).status_code == 403
    assert user.client.post("/jobs/act", data={"do": f"cancel:{theirs}"}).status_code == 400
    assert status(theirs) == "queued"


# -- suggestions while somebody types


def _suggested(visitor: Visitor, text: str) -> list[str]:
    answer = visitor.get(f"/ui/jobs/complete?q={quote(text)}")
    assert answer.status_code == 200
    told = answer.get_json()
    assert text.endswith(told["stem"])
    return [option["text"] for option in told["options"]]


def test_qualifiers_and_their_values_are_suggested(admin: Visitor) -> None:
    submitted(tags=("two words", "two"))

    assert _suggested(admin, "ag") == ["agent:"]
    assert _suggested(admin, "x -s") == ["-status:"]
    assert _suggested(admin, "status:fa") == ["failed "]
    assert _suggested(admin, "status:failed,can") == ["cancelled "]
    assert _suggested(admin, "agent:test-no") == ["test-noop "]
    assert _suggested(admin, "tag:two") == ["two ", '"two words" ']
    assert _suggested(admin, 'tag:"two w') == ['"two words" ']
    assert _suggested(admin, "pool:ge") == ["general "]
    assert "me " in _suggested(admin, "by:")
    assert _suggested(admin, "since:to") == ["today "]
    assert _suggested(admin, "nothing:x") == _suggested(admin, "zzz") == []


def test_what_is_suggested_is_ones_own(user: Visitor, admin: Visitor) -> None:
    submitted(tags=("theirs",), submitted_by=admin.user_id)
    submitted(tags=("mine",), submitted_by=user.user_id)

    assert _suggested(user, "tag:") == ["mine "]
    assert _suggested(user, "by:") == ["me "]
    assert len(_suggested(admin, "by:")) >= 3


def test_a_view_is_suggested_whole(admin: Visitor) -> None:
    (option,) = [o for o in admin.get("/ui/jobs/complete?q=today").get_json()["options"] if o.get("whole")]

    assert (option["text"], option["label"]) == ("status:failed since:today", "Failed today")


def test_strangers_are_suggested_nothing(stranger: Visitor) -> None:
    assert stranger.get("/ui/jobs/complete?q=ag").status_code == 401
