"""Placeholders: what they stand for, what is said when they stand for nothing, and hostile input."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.workflows import references
from app.workflows.references import (
    LARGEST,
    StepValue,
    TooLarge,
    UnknownReference,
    Values,
    resolve,
    resolve_known,
    written,
)

BLOG = {
    "title": "A night queue",
    "score": 8,
    "tags": ["a", "b"],
    "by": {"name": "Ann"},
    "odd key": 1,
    "7": "seven",
}
RUN = Values(
    {
        "blog": StepValue("completed", BLOG, "job-1"),
        "assets": StepValue("completed", {"image": {"path": "x.png"}}),
        "image": StepValue("completed", {"path": "x.png"}),
        "skipped": StepValue("skipped"),
        "broken": StepValue("failed"),
        "nothing": StepValue("completed", None),
        "crop[0]": StepValue("completed", "first"),
        "crop[1]": StepValue("completed", "second"),
    },
    inputs={"topic": "queues", "n": 3, "none": None},
    workflow={"id": "w-1", "name": "Launch"},
    nesting={"image": "assets", "crop[0]": "crops", "crop[1]": "crops", "later": None},
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{steps.blog.output}}", BLOG),
        ("{{ steps.blog.output.score }}", 8),
        ("{{steps.blog.output.tags}}", ["a", "b"]),
        ("{{steps.blog.output.tags[1]}}", "b"),
        ("{{steps.blog.output.tags.1}}", "b"),
        ("{{steps.blog.output.by.name}}", "Ann"),
        ('{{steps.blog.output["odd key"]}}', 1),
        ("{{steps.blog.output['odd key']}}", 1),
        ("{{steps.blog.output[7]}}", "seven"),
        ("{{steps.blog.status}}", "completed"),
        ("{{steps.blog.job_id}}", "job-1"),
        ("{{steps.skipped.status}}", "skipped"),
        ("{{steps.assets.image.output.path}}", "x.png"),
        ("{{steps.image.output.path}}", "x.png"),
        ("{{steps.assets.output.image.path}}", "x.png"),
        ("{{steps.nothing.output}}", None),
        ("{{steps.crop[1].output}}", "second"),
        ("{{inputs}}", {"topic": "queues", "n": 3, "none": None}),
        ("{{inputs.n}}", 3),
        ("{{workflow.id}} {{workflow.name}}", "w-1 Launch"),
        ("{{steps.skipped.output ?? inputs.n}}", 3),
        ('{{steps.skipped.output ?? inputs.gone ?? "x ?? }} y"}}', "x ?? }} y"),
        ("{{inputs.none ?? 'it''s'}}".replace("''", "\\'"), "it's"),
        ("{{inputs.none ?? inputs.gone}}", None),
        ("{{inputs.gone ?? -1.5}}", -1.5),
        ("{{inputs.gone ?? false}}", False),
        ("{{inputs.gone ?? null}}", None),
        ("{{inputs.gone ?? []}}", []),
        ("{{inputs.gone ?? {}}}", {}),
        ('{{ "{{" }}inputs.n}}', "{{inputs.n}}"),
        ("tags: {{steps.blog.output.tags}}; {{inputs.none}}; {{inputs.n}}", 'tags: ["a","b"]; ; 3'),
        ("} }} { no placeholder", "} }} { no placeholder"),
        (" {{inputs.n}}", " 3"),
    ],
)
def test_what_a_placeholder_stands_for(text: str, value: Any) -> None:
    assert resolve(text, RUN) == value


def test_placeholders_are_resolved_in_values_however_deep_and_nothing_given_is_changed() -> None:
    given_value = {"a": [{"b": "{{inputs.n}}", "{{inputs.n}}": 1}], "c": None, "d": 1.5}
    assert resolve(given_value, RUN) == {"a": [{"b": 3, "{{inputs.n}}": 1}], "c": None, "d": 1.5}
    assert given_value["a"] == [{"b": "{{inputs.n}}", "{{inputs.n}}": 1}]


@pytest.mark.parametrize(
    ("text", "reference", "why"),
    [
        ("{{steps.gone.output}}", "steps.gone.output", "there is no step `gone`; steps: blog, assets"),
        ("{{steps.skipped.output.x}}", "steps.skipped.output.x", "was skipped, so it has no output"),
        ("{{steps.broken.output}}", "steps.broken.output", "failed, so it has no output"),
        ("{{steps.later.output}}", "steps.later.output", "step `later` has not finished"),
        ("{{steps.blog.output.titel}}", "steps.blog.output.titel", "no `titel`; it has: title, score, tags"),
        (
            "{{steps.blog.output.tags[2]}}",
            "steps.blog.output.tags[2]",
            "is a list of 2 items and has no `[2]`",
        ),
        ("{{steps.blog.output.tags.x}}", "steps.blog.output.tags.x", "no `x`; say which, like `[0]`"),
        ("{{steps.blog.output.title.x}}", "steps.blog.output.title.x", "is text and has no `x`"),
        ("{{steps.nothing.output.x}}", "steps.nothing.output.x", "is null and has no `x`"),
        ("{{steps.blog.image.output}}", "steps.blog.image.output", "step `image` is not inside of `blog`"),
        (
            "{{steps.crop.output}}",
            "steps.crop.output",
            "once for each item; `steps.crops.output` is the list",
        ),
        ("{{inputs.topik}}", "inputs.topik", "the inputs has no `topik`; it has: topic, n, none"),
        ("{{item.x}}", "item.x", "`item` is known only inside of a `map`"),
        ("{{index}}", "index", "`index` is known only inside of a `map`"),
        ("{{inputs.a ?? inputs.b}}", "inputs.a", "no `a`"),
    ],
)
def test_what_leads_nowhere_is_named_with_the_reason(text: str, reference: str, why: str) -> None:
    with pytest.raises(UnknownReference) as wrong:
        resolve({"deep": ["x", f"in {text}"]}, RUN)
    assert wrong.value.message.startswith(f"{{{{{reference}}}}}: ")
    assert why in wrong.value.message
    assert (wrong.value.code, wrong.value.retryable) == ("unknown_reference", False)
    assert wrong.value.details["reference"] == reference


def test_inside_of_a_map_names_mean_the_same_item() -> None:
    outputs = {
        "crop[0]": StepValue("completed", "a"),
        "crop[1]": StepValue("completed", "b"),
        "x": StepValue("completed", 1),
    }
    item = Values(
        outputs,
        item={"url": None, "w": [5]},
        index=1,
        nesting={"crop[0]": "one[0]", "crop[1]": "one[1]", "one[1]": "m"},
    )
    assert resolve(["{{item.w[0]}}", "{{index}}", "{{item.url}}", "{{item}}"], item) == [
        5,
        1,
        None,
        {"url": None, "w": [5]},
    ]
    assert (
        resolve(["{{steps.crop.output}}", "{{steps.one.crop.output}}", "{{steps.m.crop.output}}"], item)
        == ["b"] * 3
    )
    assert resolve(["{{steps.crop[0].output}}", "{{steps.x.output}}"], item) == ["a", 1]


def test_null_items_are_items() -> None:
    assert resolve("{{item}}", Values({}, item=None, index=0)) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{{", "never closed"),
        ("a {{ steps.x.output", "never closed"),
        ("{{}}", "expected a path"),
        ("{{ name }}", "a path starts with `steps`, `inputs`"),
        ("{{steps}}", "name a step"),
        ("{{steps.x}}", "say what of the step: `steps.x.output`"),
        ("{{steps.x.title}}", "say what of the step"),
        ("{{inputs.a b}}", "expected `}}`"),
        ("{{inputs.a | upper}}", "expected `}}`"),
        ("{{inputs.a()}}", "expected `}}`"),
        ("{{inputs.__class__.}}", "expected a name after `.`"),
        ("{{inputs[a]}}", 'expected `[0]` or `["key"]`'),
        ('{{"x" ?? inputs.a}}', "can only be the last"),
        ("{{workflow.owner}}", "there are `workflow.id` and `workflow.name`"),
        ('{{inputs["\\q"]}}', "an escape that is none of JSON's"),
        ("{{inputs." + "a" * 2000 + "}}", "never closed"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, what: str) -> None:
    with pytest.raises(Invalid) as wrong:
        references.references({"a/b": ["ok {{inputs.n}}", text]})
    [(pointer, said)] = wrong.value.fields
    assert pointer == "/a~1b/1"
    assert what in said
    with pytest.raises(UnknownReference, match="."):
        resolve(text, RUN)


def test_references_know_where_they_stand() -> None:
    found = references.references({"p": ["x {{ steps.a.output.t ?? inputs.t ?? 1 }} {{item}}"], "n": 1})
    assert [(each.pointer, each.text, each.alternatives, each.literal) for each in found] == [
        ("/p/0", "steps.a.output.t ?? inputs.t ?? 1", (("steps", "a", "output", "t"), ("inputs", "t")), (1,)),
        ("/p/0", "item", (("item",),), ()),
    ]


def test_what_is_known_already_is_put_in_and_the_rest_stays() -> None:
    value, still = resolve_known({"a": "{{inputs.n}} {{steps.gone.output}}", "b": "{{ item }}"}, RUN)
    assert value == {"a": "3 {{steps.gone.output}}", "b": "{{item}}"}
    assert still == ["{{steps.gone.output}}", "{{item}}"]


@given(JSONS)
def test_any_value_comes_through_a_single_placeholder_as_it_is(value: Any) -> None:
    run = Values({"a": StepValue("completed", {"v": value})})
    assert resolve("{{steps.a.output.v}}", run) == value


@given(JSONS)
def test_in_a_longer_text_objects_can_be_read_back(value: Any) -> None:
    said = resolve("<{{inputs.v}}>", Values({}, {"v": value}))[1:-1]
    if isinstance(value, str):
        assert said == value
    else:
        assert (json.loads(said) if said else None) == value


@given(
    st.text() | st.just("{{inputs.secret}}"),
    st.sampled_from(["{{inputs.a}}", "x{{inputs.a}}", "{{", "}}", "{{inputs.{{inputs.a}}"]),
)
def test_what_a_placeholder_stands_for_is_never_read_for_placeholders(text: str, around: str) -> None:
    hostile = f"{around}{text}{{{{inputs.secret}}}}"
    run = Values({"a": StepValue("completed", hostile)}, {"secret": "hunter2", "a": hostile})
    assert resolve(["{{steps.a.output}}", "{{inputs.a}}{{steps.a.output}}"], run) == [hostile, hostile * 2]


@given(st.text())
def test_any_text_can_be_written_without_being_a_placeholder(text: str) -> None:
    assert resolve(text.replace("{{", '{{ "{{" }}'), RUN) == text


PATHS = st.lists(st.text(max_size=9) | st.integers(0, 10**6), max_size=5)


@given(PATHS)
def test_a_path_reads_back_as_it_is_written(parts: list[str | int]) -> None:
    path = ("inputs", *parts)
    [found] = references.references(f"{{{{{written(path)}}}}}")
    assert found.alternatives == (path,)


@given(st.text(alphabet="{}[]()?.\"'\\ abcinputs0-", max_size=200))
def test_whatever_is_written_is_resolved_or_refused(text: str) -> None:
    try:
        resolve(text, RUN)
    except UnknownReference as error:
        said = error.message
    else:
        said = "fine"
    assert said


@pytest.mark.parametrize(
    "text",
    [
        "{{inputs.n}} " * 100_000,
        "{{" * 500_000,
        "{{ " + " " * 1_000_000,
        "{{inputs.n" + "." * 1_000_000,
        '{{ "' + "\\" * 1_000_000,
        "{{inputs.n ?? " * 70_000,
        "}}" * 500_000 + "\x00",
        "{" * 1_000_001,
    ],
)
def test_long_hostile_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    said = ""
    try:
        resolve(text, RUN)
    except UnknownReference as error:
        said = error.message
    assert len(said) < 1000
    assert time.process_time() - began < 8


def test_endless_nesting_is_refused_and_not_followed() -> None:
    deep: Any = "{{inputs.n}}"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TooLarge, match="nested too deep"):
        resolve(deep, RUN)
    with pytest.raises(Invalid, match="nested too deep"):
        references.references(deep)
    with pytest.raises(TooLarge, match="nested too deep"):
        resolve("x {{inputs.deep}}", Values({}, {"deep": deep}))


def test_a_little_text_cannot_become_a_mountain() -> None:
    run = Values({}, {"long": "x" * (LARGEST // 10), "list": ["x" * (LARGEST // 10)]})
    for text in ("{{inputs.long}} " * 11, ["{{inputs.long}}"] * 11, ["{{inputs.list}}"] * 11):
        with pytest.raises(TooLarge):
            resolve(text, run)
