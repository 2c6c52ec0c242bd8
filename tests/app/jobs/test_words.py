"""The language of filters: what is understood, what is told, and that its canonical text means the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs import words
from app.jobs.states import PRIORITIES, STATUSES
from app.jobs.words import Asked, Term, parse

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
RUN = "0199f3a0-1111-7222-8333-444455556666"


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("  \n ", []),
        ("timeout", [Term("", ("timeout",))]),
        ('two "of these"', [Term("", ("two",)), Term("", ("of these",))]),
        ("agent:writer", [Term("agent", ("writer",))]),
        ("AGENT:Writer", [Term("agent", ("Writer",))]),
        ("agent:a,b", [Term("agent", ("a", "b"))]),
        ("agent:a,,b,", [Term("agent", ("a", "b"))]),
        ("agent:a,a", [Term("agent", ("a",))]),
        ("-agent:a", [Term("agent", ("a",), negated=True)]),
        ('tag:"two words","a,b"', [Term("tag", ("two words", "a,b"))]),
        ('tag:"say \\"hi\\" \\\\ \\n"', [Term("tag", ('say "hi" \\ \n',))]),
        ("tag:a tag:b", [Term("tag", ("a",)), Term("tag", ("b",))]),
        ("tag:a/b&c#d=ü%20", [Term("tag", ("a/b&c#d=ü%20",))]),
        ("tag:x:y", [Term("tag", ("x:y",))]),
        ("state:failed", [Term("status", ("failed",))]),
        ("status:WAITING,asking", [Term("status", ("waiting", "asking"))]),
        ("status:canceled,in-progress", [Term("status", ("cancelled", "running"))]),
        ("priority:High", [Term("priority", ("high",))]),
        ("verdict:needs-review", [Term("quality", ("needs_review",))]),
        ("since:24H until:2026-11-30", [Term("since", ("24h",)), Term("until", ("2026-11-30",))]),
        ("since:2026-11-22t10:00:00+01:00", [Term("since", ("2026-11-22T10:00:00+01:00",))]),
        (f"workflow:{RUN.upper()}", [Term("workflow", (RUN,))]),
        ("cost:1 by:me", [Term("cost", (">=1",)), Term("by", ("me",))]),
        ("cost:<$0.50", [Term("cost", ("<0.50",))]),
        ("id:3F2A91C0", [Term("id", ("3f2a91c0",))]),
        (
            "https://example.org/a 12:30 -dry",
            [Term("", (w,)) for w in ("https://example.org/a", "12:30", "-dry")],
        ),
    ],
)
def test_what_is_understood(text: str, terms: list[Term]) -> None:
    assert parse(text) == Asked(tuple(terms))


@pytest.mark.parametrize(
    ("text", "at", "told", "mended"),
    [
        ("agnt:x", 0, "unknown qualifier `agnt:`, did you mean `agent:`?", "agent:x"),
        ("a -stats:failed", 2, "did you mean `status:`?", "a -status:failed"),
        ("TimeoutError: x", 0, "put them in quotes", '"TimeoutError:" x'),
        ("zzz:a,b", 0, "put them in quotes", '"zzz:a,b"'),
        ("x status:complted", 2, "there is no status `complted`", "x status:completed"),
        ("status:odd", 0, "there is no status `odd`: waiting, asking, pending", ""),
        ("priority:urgent", 0, "there is no priority", ""),
        ("agent:", 0, "needs a value: `agent:content-pipeline`", ""),
        ('agent:"",a', 0, "needs a value", ""),
        ("since:soon", 0, "is `30m`, `24h`", "since:24h"),
        ("since:1h,2h", 0, "takes one value", ""),
        ("-since:1h", 0, "cannot be turned round", ""),
        ("agent:a agent:b", 8, "for any of several: `agent:a,b`", ""),
        ("since:1h since:2h", 9, "said twice; say it once", ""),
        ("workflow:12", 0, "is the whole id", ""),
        ("id:xyz", 0, "four characters", ""),
        ("cost:much", 0, "is dollars", "cost:>1"),
        ('a tag:"b c', 6, "a quotation mark is missing", 'a tag:"b c"'),
        ("agent:" + ",".join(map(str, range(60))), 0, "takes 50 values at most", ""),
        (" ".join("w" * 31), 0, "more than 30 conditions", ""),
        ("x" * 1001, 1000, "longer than 1,000 characters", ""),
    ],
)
def test_what_is_not_understood_is_told_with_its_place(text: str, at: int, told: str, mended: str) -> None:
    (complaint,) = parse(text).complaints

    assert complaint.at == at
    assert told in complaint.message
    assert complaint.mended == mended
    assert 0 < complaint.length <= len(text) - at


def test_every_mistake_is_told_and_the_text_is_kept() -> None:
    asked = parse("agnt:x status:odd fine")

    assert len(asked.complaints) == 2
    assert str(asked) == "agnt:x status:odd fine"


@given(st.text(max_size=120))
def test_any_text_can_be_read_and_its_canonical_form_says_the_same(text: str) -> None:
    asked = parse(text)

    if not asked.complaints:
        again = parse(str(asked))
        assert again == asked
        assert "\n" not in str(asked)
        assert "\x00" not in str(asked)


_plain = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=20)
_terms = st.one_of(
    _plain.map(lambda word: Term("", (word,))),
    st.lists(_plain, min_size=1, max_size=3, unique=True).map(lambda values: Term("tag", tuple(values))),
    st.lists(st.sampled_from(STATUSES), min_size=1, unique=True).map(
        lambda values: Term("status", tuple(values), negated=True)
    ),
)


@given(st.lists(_terms, max_size=6))
def test_whatever_is_asked_for_can_be_written_and_read_back(terms: list[Term]) -> None:
    asked = Asked(tuple(terms))

    assert parse(str(asked)) == asked


@given(st.text(st.sampled_from('agent:tus,"\\- x\n'), max_size=40))
def test_what_is_being_typed_is_the_end_of_the_text(text: str) -> None:
    name, stem = words.unfinished(text)

    assert text.endswith(stem)
    assert name == "" or f"{name}:" in text.lower() or name in words.ALIASES.values()


@pytest.mark.parametrize(
    ("text", "name", "stem"),
    [
        ("", "", ""),
        ("ag", "", "ag"),
        ("-ag", "", "-ag"),
        ("agent:", "agent", ""),
        ("agent:dr", "agent", "dr"),
        ("state:fa", "status", "fa"),
        ("agent:a,d", "agent", "d"),
        ("agent:a,", "agent", ""),
        ("agent:a ", "", ""),
        ("x agent:a st", "", "st"),
        ('tag:"two w', "tag", '"two w'),
    ],
)
def test_where_somebody_is_while_typing(text: str, name: str, stem: str) -> None:
    assert words.unfinished(text) == (name, stem)


def test_conditions_are_taken_away_and_put_in_place_of_others() -> None:
    asked = parse("timeout status:failed tag:a -status:cancelled")
    failed, tag = asked.terms[1], asked.terms[2]

    assert str(asked.without(tag)) == "timeout status:failed -status:cancelled"
    assert str(asked.without(failed)) == "timeout tag:a -status:cancelled"
    assert str(asked.having("status", "waiting", "running")) == "status:waiting,running timeout tag:a"
    assert str(asked.having("status")) == "timeout tag:a"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2w", NOW - timedelta(weeks=2)),
        ("today", datetime(2026, 11, 22, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 21, tzinfo=UTC)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T10:00:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert words.moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "1y", "99999h", "2026-13-01", "9999-01-01", "0001-01-01", "h"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(words.Wrong):
        words.moment(text, NOW)


def test_groups_of_statuses_are_what_they_name() -> None:
    assert words.statuses(["waiting", "queued", "asking"]) == ("pending", "queued", "retry", "awaiting_input")
    assert set(words.statuses(words.GROUPS)) <= set(STATUSES)


@pytest.mark.parametrize("name", words.QUALIFIERS)
def test_every_qualifier_has_an_example_that_it_takes(name: str) -> None:
    qualifier = words.QUALIFIERS[name]
    asked = parse(f"{name}:{qualifier.example}") if "…" not in qualifier.example else parse(f"{name}:{RUN}")

    assert asked.complaints == ()
    assert asked.values(name)
    assert qualifier.hint


def test_nearly_all_words_of_priorities_are_known() -> None:
    assert parse("priority:" + ",".join(PRIORITIES)).values("priority") == PRIORITIES
