from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.quality import gates
from app.quality.definition import KINDS, WORKER_ONLY, CheckSpec, Gate
from app.settings import ROOT

NEEDED: dict[str, dict[str, Any]] = {
    "regex": {"must": ["a"]},
    "command": {"argv": ["true"]},
    "http": {"url": "https://judge.example/"},
    "judge": {"criteria": "Is it true?"},
}


def one(**keys: Any) -> Gate:
    return Gate.read({"checks": [keys]})


def faults(raw: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused:
        Gate.read(raw)
    return refused.value.fields


def test_what_is_left_out_is_as_usual() -> None:
    made = one(check="length")
    assert (made.threshold, made.refinements, made.min_gain, made.otherwise) == (
        7.0,
        None,
        0.3,
        "needs_review",
    )
    (spec,) = made.checks
    assert (spec.name, spec.weight, spec.mode, spec.on_error, spec.least) == (
        "length",
        1.0,
        "advisory",
        "retry",
        None,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read_with_no_more_than_it_needs_and_comes_back_the_same(kind: str) -> None:
    made = one(check=kind, **NEEDED.get(kind, {}))
    assert made.document() == {"title": "Quality gate", "checks": [{"check": kind} | NEEDED.get(kind, {})]}
    assert made.checks[0].is_pure == (kind not in WORKER_ONLY)


@pytest.mark.parametrize("kind", ["http", "judge"])
def test_what_judges_by_itself_passes_from_seven_on(kind: str) -> None:
    assert one(check=kind, **NEEDED[kind]).checks[0].least == 7.0
    assert one(check=kind, threshold=4, **NEEDED[kind]).checks[0].least == 4


def test_a_document_is_read_to_an_equal_gate() -> None:
    for file in sorted(gates.LIBRARY.glob("*.yaml")):
        made = Gate.read(gates.read_yaml(file.read_text()))
        assert Gate.read(made.document()) == made
    made = one(check="json_schema", schema={"type": "object"}, name="shape", weight=2, of="pages.0")
    assert Gate.read(made.document()) == made


@pytest.mark.parametrize(
    ("raw", "pointer", "said"),
    [
        ([], "", "must be an object"),
        ({}, "/checks", "required"),
        ({"checks": []}, "/checks", "at least 1"),
        ({"checks": [{"check": "lenght"}]}, "/checks/0/check", "must be one of length, structure"),
        ({"checks": [{"name": "x"}]}, "/checks/0/check", "must be one of"),
        ({"checks": [{"check": "length"}, {"check": "tone", "weight": -1}]}, "/checks/1/weight", "greater"),
        ({"checks": [{"check": "length", "minimum": 3}]}, "/checks/0/minimum", "known: check, name, weight"),
        (
            {"checks": [{"check": "length", "min_words": 9, "max_words": 3}]},
            "/checks/0",
            "more than max_words",
        ),
        (
            {"checks": [{"check": "length", "threshold": 11}]},
            "/checks/0/threshold",
            "less than or equal to 10",
        ),
        ({"checks": [{"check": "regex"}]}, "/checks/0", "must, must_not, or both"),
        ({"checks": [{"check": "regex", "must": ["(?=x)"]}]}, "/checks/0/must/0", "not a pattern of RE2"),
        (
            {"checks": [{"check": "json_schema", "schema": {"type": 3}}]},
            "/checks/0/schema",
            "not a JSON Schema",
        ),
        (
            {"checks": [{"check": "json_schema", "schema": {"$ref": "http://x/"}}]},
            "/checks/0/schema",
            "only point",
        ),
        (
            {"checks": [{"check": "json_schema", "schema": {"pattern": "(a)\\1"}}]},
            "/checks/0/schema",
            "invalid escape",
        ),
        (
            {"checks": [{"check": "json_schema", "schema": {"patternProperties": {"(a+)+$": {}}}}]},
            "/checks/0/schema",
            "patternProperties",
        ),
        ({"checks": [{"check": "tone"}, {"check": "tone"}]}, "/checks/1/name", "two checks are called tone"),
        ({"checks": [{"check": "length", "weight": 0}]}, "", "no score"),
        ({"checks": [{"check": "length"}], "of": "a..b"}, "/of", "pattern"),
        ({"checks": [{"check": "length"}], "treshold": 3}, "/treshold", "known: title, of, threshold"),
        ({"checks": [{"check": "length"}], "name": "x"}, "/name", "beside it"),
        ({"checks": [{"check": "command"}]}, "/checks/0/argv", "required"),
        ({"title": "a\0b", "checks": [{"check": "length"}]}, "/title", "pattern"),
        ({"checks": [{"check": "http", "url": "file:///etc/passwd"}]}, "/checks/0/url", "pattern"),
        (
            {"checks": [{"check": "http", "url": "https://me:pw@a.example/"}]},
            "/checks/0/url",
            "{{secret.NAME}}",
        ),
        (
            {"checks": [{"check": "http", "url": "https://a.example/", "headers": {"X": "a\r\nY: b"}}]},
            "/checks/0/headers/X",
            "pattern",
        ),
        ({"checks": [{"check": "length"}], "escalate_minutes": 5}, "/escalate_to", "needed"),
        ({"checks": [{"check": "length"}], "escalate_to": ["admin"]}, "/escalate_minutes", "needed"),
        (
            {
                "checks": [{"check": "length"}],
                "escalate_to": ["admin"],
                "escalate_minutes": 60,
                "deadline_minutes": 60,
            },
            "/escalate_minutes",
            "less than deadline_minutes",
        ),
    ],
)
def test_every_mistake_is_told_with_its_place(raw: Any, pointer: str, said: str) -> None:
    found = faults(raw)
    assert found[0][0] == pointer
    assert said in found[0][1]


def test_several_mistakes_are_told_at_once_and_none_twice() -> None:
    raw = {"threshold": "much", "checks": [{"check": "length", "weight": -1, "tolerance": 3}]}
    assert [pointer for pointer, _ in faults(raw)] == [
        "/threshold",
        "/checks/0/weight",
        "/checks/0/tolerance",
    ]


def attempt(raw: Any) -> tuple[Gate | None, list[tuple[str, str]]]:
    """The gate, or what is wrong with it."""
    try:
        return Gate.read(raw), []
    except Invalid as refused:
        return None, refused.fields


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    JSON,
    st.sampled_from(sorted(KINDS)),
    st.dictionaries(st.sampled_from(["weight", "of", "name", "min_words"]), JSON),
)
def test_whatever_is_sent_is_read_or_refused_with_words(raw: Any, kind: str, keys: dict[str, Any]) -> None:
    for sent in (raw, {"checks": raw}, {"checks": [raw]}, {"checks": [{"check": kind} | keys]}):
        made, complaints = attempt(sent)
        assert complaints if made is None else Gate.read(made.document()) == made


def test_the_guide_names_every_kind_with_all_its_keys_and_what_is_usual() -> None:
    page = (ROOT / "docs" / "quality.md").read_text()
    rows = page.partition("<!-- kinds -->")[2].partition("<!-- /kinds -->")[0].strip().splitlines()[2:]
    told = {row.split("`")[1]: row.rpartition(" | ")[2] for row in rows}
    assert list(told) == list(KINDS)
    for kind, model in KINDS.items():
        for name, field in model.model_fields.items():
            if name in CheckSpec.model_fields:
                continue
            assert f"`{field.alias or name}`" in told[kind], (kind, name)
            if isinstance(field.default, (bool, int, float)):
                usual = json.dumps(field.default) if isinstance(field.default, bool) else f"{field.default:g}"
                assert f"`{name}` {usual}" in told[kind], (kind, name, usual)
