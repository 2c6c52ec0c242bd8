"""What an import would change, and doing it: file by file, nothing of a broken one."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.agents import folders, importing, registry, versions
from app.agents.definition import parse
from app.agents.folders import File
from app.agents.importing import Item, Known, Plan
from app.db import db
from app.errors import Invalid
from tests import acting
from tests.app.agents import collections

PLAIN = "---\nname: {0}\ndescription: The {0}.\n---\nYou are the {0}.\n"


def _planned(*files: tuple[str, str], **known: Known) -> Plan:
    return importing.plan(
        [File(path=path, text=text) for path, text in files],
        {name.replace("_", "-"): agent for name, agent in known.items()},
    )


def _one(made: Plan) -> Item:
    (item,) = made.items
    return item


def _said(item: Item) -> str:
    return " ".join(complaint.message for complaint in item.errors)


# -- the plan


def test_a_new_file_an_unchanged_one_and_a_changed_one() -> None:
    text = PLAIN.format("writer")
    new = _one(_planned(("writer.md", text)))
    assert (new.action, new.agent_id, new.added, new.removed) == ("new", "writer", 5, 0)

    before = Known(version=parse("writer", text).version, text=text)
    assert _one(_planned(("writer.md", text), writer=before)).action == "unchanged"

    changed = _one(_planned(("writer.md", text + "Be brief.\n"), writer=before))
    assert (changed.action, changed.added, changed.removed) == ("changed", 1, 0)
    assert "+Be brief." in changed.diff


def test_a_broken_file_breaks_no_other() -> None:
    made = _planned(("good.md", PLAIN.format("good")), ("bad.md", "---\na: [1\n---\n"), ("none.md", "text"))
    assert made.counts == {"new": 1, "changed": 0, "unchanged": 0, "broken": 2}
    broken = {item.path: item.errors[0] for item in made.broken}
    assert broken["bad.md"].line == 3
    assert "front matter" in broken["none.md"].message


def test_the_same_id_twice_is_told_at_both_and_neither_is_taken() -> None:
    made = _planned(
        ("a/.claude/agents/Lead Gen.md", PLAIN.format("x")),
        ("b/.claude/agents/lead-gen.md", PLAIN.format("y")),
    )
    assert [item.action for item in made.items] == ["broken", "broken"]
    assert "b/.claude/agents/lead-gen.md" in _said(made.items[0])
    assert "a/.claude/agents/Lead Gen.md" in _said(made.items[1])


def test_a_file_named_without_a_letter_is_told() -> None:
    assert "rename" in _said(_one(_planned(("日本.md", PLAIN.format("x")))))


def test_replacing_another_teams_agent_is_said() -> None:
    before = Known(version="0" * 16, text=PLAIN.format("old"), team="MARKETING_TEAM", source="/srv/agents")
    item = _one(_planned(("OTHER/.claude/agents/writer.md", PLAIN.format("writer")), writer=before))
    assert item.action == "changed"
    assert item.warnings[0].message == "replaces the agent writer of MARKETING_TEAM (/srv/agents)"


def test_one_file_without_its_folders_stays_in_its_team() -> None:
    text, over = PLAIN.format("writer"), {"team": "SHOP"}
    before = Known(version=parse("writer", text, over).version, text=text, overlay=over, team="SHOP")

    assert _one(_planned(("writer.md", text), writer=before)).action == "unchanged"
    newer = _one(_planned(("writer.md", text + "Be brief.\n"), writer=before))
    assert (newer.added, newer.removed, newer.warnings) == (1, 0, ())
    moved = _one(_planned(("CAFE/.claude/agents/writer.md", text), writer=before))
    assert moved.definition is not None
    assert moved.definition.ours.team == "CAFE"
    own = text.replace("---\nYou", "x-callboard: {team: MINE}\n---\nYou")
    said = _one(_planned(("writer.md", own), writer=before)).definition
    assert said is not None
    assert said.ours.team == "MINE"


def test_keys_count_in_their_order() -> None:
    inline = "---\ndescription: d\nx-callboard: {timeout: 10, max_concurrent: 3}\n---\n"
    sidecar = "defaults: {timeout: 99, pool: testing}\nagents: {writer: {max_concurrent: 4, team: MINE}}"
    item = _one(_planned(("T/.claude/agents/writer.md", inline), ("T/callboard.yaml", sidecar)))
    assert item.definition is not None
    ours = item.definition.ours
    assert (ours.timeout, ours.pool, ours.max_concurrent, ours.team) == (10, "testing", 4, "MINE")


def test_the_nearest_sidecar_counts_most_and_only_below_its_folder() -> None:
    made = _planned(
        ("T/.claude/agents/a.md", PLAIN.format("a")),
        ("U/.claude/agents/b.md", PLAIN.format("b")),
        ("callboard.yaml", "defaults: {pool: testing, timeout: 5}"),
        ("T/callboard.yaml", "defaults: {pool: marketing}"),
    )
    found = {item.agent_id: item.definition.ours for item in made.items if item.definition}
    assert [(found[name].pool, found[name].timeout) for name in ("a", "b")] == [
        ("marketing", 5),
        ("testing", 5),
    ]


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        ("agents: [1]", "must be a mapping"),
        ("agents: {a: 1}", "must be a mapping"),
        ("agent: {}", "not a known key"),
        ("- x", "must be a mapping"),
        ("a: [", "not YAML"),
        ("a: &x 1\nb: *x", "aliases"),
    ],
)
def test_a_sidecar_that_cannot_be_read_holds_back_what_it_covers(sidecar: str, words: str) -> None:
    made = _planned(("callboard.yaml", sidecar), ("a.md", PLAIN.format("a")))
    by_path = {item.path: item for item in made.items}
    assert words in _said(by_path["callboard.yaml"])
    assert "callboard.yaml, which cannot be read" in _said(by_path["a.md"])


def test_a_wrong_value_in_a_sidecar_is_an_error_of_its_agent() -> None:
    made = _planned(("callboard.yml", "agents: {a: {pool: kitchen}}"), ("a.md", PLAIN.format("a")))
    assert "sidecar" in _said(_one(made))


def test_a_sidecar_that_speaks_of_strangers_is_only_odd() -> None:
    made = _planned(("callboard.yaml", "agents: {b: {pool: testing}}"), ("a.md", PLAIN.format("a")))
    odd = next(item for item in made.items if item.path == "callboard.yaml")
    assert (odd.action, odd.warnings[0].message) == ("unchanged", "speaks of b, which are not below it")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("aliases: [b]", ""),
        ("aliases: [x]", "aliases: [x]"),
        ("aliases: [known]", ""),
        ("aliases: [old]", ""),
    ],
)
def test_an_alias_that_would_mean_two_agents_is_refused(first: str, second: str) -> None:
    text = "---\ndescription: d\nx-callboard: {{{}}}\n---\n"
    known = Known(version="0" * 16, aliases=("old",))
    made = _planned(("a.md", text.format(first)), ("b.md", text.format(second)), known=known)
    assert len(made.broken) == 1
    assert "alias" in _said(made.broken[0])


def test_files_that_define_no_agent_are_named() -> None:
    assert _planned(("a.md", PLAIN.format("a")), ("README.md", "x"), ("x.txt", "")).ignored == (
        "README.md",
        "x.txt",
    )


# -- the public folders


def test_a_workspace_of_three_teams_comes_in_whole(tmp_path: Path) -> None:
    made = importing.plan(folders.read(collections.three_teams(tmp_path / "ws")), {})
    assert made.counts == {"new": 34, "changed": 0, "unchanged": 0, "broken": 0}
    teams: dict[str, int] = {}
    for item in made.items:
        assert item.definition is not None
        teams[item.definition.ours.team] = teams.get(item.definition.ours.team, 0) + 1
        assert item.definition.ours.runner == "llm"
    assert teams == collections.TEAMS
    folded = next(item for item in made.items if item.agent_id == "engineering-agent-3")
    assert folded.definition is not None
    assert folded.definition.extra["tools"] == ["Read", "Write", "workspace_enforcer", "path_validator"]
    assert {said.pointer for said in folded.warnings} == {"/tools", "/description"}


def test_a_zip_of_the_same_means_the_same(tmp_path: Path) -> None:
    root = collections.three_teams(tmp_path / "ws")
    there = importing.plan(folders.read(root), {})
    sent = importing.plan(importing.from_upload([("ws.zip", collections.zipped_folder(root))]), {})
    versions_there = {item.agent_id: item.definition.version for item in there.items if item.definition}
    assert {
        item.agent_id: item.definition.version for item in sent.items if item.definition
    } == versions_there


def test_a_repository_with_nested_roots_and_a_sidecar(tmp_path: Path) -> None:
    made = importing.plan(folders.read(collections.repository(tmp_path / "store")), {})
    found = {item.agent_id: item.definition for item in made.items if item.definition}
    reviewer, planner, seller = (found[name] for name in ("reviewer", "planner", "seller"))
    assert (reviewer.ours.team, reviewer.title, reviewer.ours.timeout) == ("STORE", "The reviewer", 90)
    assert (planner.ours.team, planner.ours.max_concurrent, planner.ours.pool) == (
        "PLANNING",
        7,
        "engineering",
    )
    assert (seller.ours.team, seller.ours.max_concurrent) == ("SHOP", 2)
    assert made.broken == []


# -- doing it


@pytest.fixture
def here(quick: Engine) -> Iterator[None]:
    with db.quick():
        yield


def _apply(*files: tuple[str, str], source: str = "import") -> Plan:
    made = importing.plan([File(path=path, text=text) for path, text in files], importing.known())
    return importing.apply(made, source=source, by="somebody")


@pytest.mark.usefixtures("here")
def test_only_what_is_sound_is_installed_and_it_is_audited() -> None:
    _apply(("T/.claude/agents/good.md", PLAIN.format("good")), ("T/.claude/agents/bad.md", "text"))
    agent = registry.get("good")
    assert (agent.team, agent.runner, agent.source) == ("T", "llm", "import")
    assert "bad" not in {each.agent_id for each in registry.all_agents()}
    (version,) = versions.listing("good")
    assert (version["number"], version["origin"], version["current"]) == (1, "T/.claude/agents/good.md", True)
    audited = db.rows("SELECT actor, subject FROM audit_log WHERE action = 'agent.installed'")
    assert audited == [{"actor": "somebody", "subject": "good"}]


@pytest.mark.usefixtures("here")
def test_a_file_that_became_broken_leaves_its_agent_as_it_was() -> None:
    _apply(("a.md", PLAIN.format("a")))
    before = registry.get("a")
    done = _apply(("a.md", "---\nname: [\n---\n"))
    registry.forget()
    assert done.counts["broken"] == 1
    assert registry.get("a") == before


@pytest.mark.usefixtures("here")
def test_doing_it_again_changes_nothing() -> None:
    files = [("T/.claude/agents/a.md", PLAIN.format("a")), ("callboard.yaml", "defaults: {pool: testing}")]
    assert _apply(*files).counts["new"] == 1
    assert _apply(*files).counts == {"new": 0, "changed": 0, "unchanged": 1, "broken": 0}
    assert len(versions.listing("a")) == 1
    registry.forget()
    assert registry.definition_of("a", registry.get("a").version).ours.pool == "testing"


@pytest.mark.usefixtures("here")
def test_what_an_admin_set_outlives_a_new_version_until_it_is_to_follow_the_file_again() -> None:
    text = "---\ndescription: d\nx-callboard: {{max_concurrent: 3, rate_limit: {}/minute}}\n---\n"
    _apply(("a.md", text.format(10)))
    registry.configure("a", {"max_concurrent_tasks": 1})
    _apply(("a.md", text.format(20)))
    assert (registry.get("a").max_concurrent_tasks, registry.get("a").rate_limit) == (1, "20/minute")
    registry.configure("a", {}, ["max_concurrent_tasks"])
    assert registry.get("a").max_concurrent_tasks == 3


@pytest.mark.usefixtures("here")
def test_an_alias_means_its_agent_everywhere() -> None:
    _apply(("claude-code.md", "---\ndescription: d\nx-callboard: {aliases: [claude]}\n---\n"))
    assert registry.get("claude").agent_id == registry.demand("Claude").agent_id == "claude-code"
    assert registry.get("claude_code").agent_id == registry.canonical("claude") == "claude-code"
    job_id = acting.submitted("claude", parameters={"task": "x"})
    assert acting.job(job_id)["agent_id"] == "claude-code"
    done = _apply(("claude.md", PLAIN.format("claude")))
    assert done.counts["broken"] == 1


@pytest.mark.usefixtures("here")
def test_an_alias_that_somebody_took_meanwhile_is_refused_by_the_registry() -> None:
    text = "---\ndescription: d\nx-callboard: {aliases: [shared]}\n---\n"
    made = importing.plan([File(path="late.md", text=text)], importing.known())
    _apply(("early.md", text))
    done = importing.apply(made, source="import", by="x")
    assert "shared means the agent early" in _said(done.broken[0])


@pytest.mark.usefixtures("here")
def test_an_imported_agent_is_removed_or_if_it_has_jobs_retired() -> None:
    _apply(("a.md", PLAIN.format("a")), ("b.md", PLAIN.format("b")))
    acting.submitted("b", parameters={"task": "x"})
    assert [registry.remove("a"), registry.remove("b")] == ["removed", "retired"]
    assert "a" not in {each.agent_id for each in registry.all_agents()}
    assert registry.get("b").enabled is False


@pytest.mark.usefixtures("here")
def test_a_hundred_files_are_imported_within_two_seconds(tmp_path: Path) -> None:
    root = collections.flat(tmp_path / "flat")
    began = time.thread_time()
    made = importing.plan(folders.read(root), importing.known())
    done = importing.apply(made, source="import", by="x")
    took = time.thread_time() - began
    assert done.counts["new"] == 100
    assert took < 2


def test_several_small_zips_may_not_grow_beyond_all_limits() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.md", "x" * 1_900_000)
    with pytest.raises(Invalid, match="together"):
        importing.from_upload((f"{number}.zip", made.getvalue()) for number in range(1000))
