"""How a step starts that is ready: by its condition, then by its kind. Whatever is wrong with it fails the step alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app import clock
from app.agents import secrecy
from app.approvals import asking
from app.approvals.asking import Question
from app.db import Row, dumps
from app.errors import CallboardError, Invalid, JobError, NotFound
from app.jobs import intake as jobs
from app.jobs import lifecycle
from app.jobs.intake import Wish
from app.jobs.lifecycle import Order
from app.jobs.states import Priority
from app.observe import logs
from app.secrets import sealing
from app.workflows import conditions, intake, plan, rows, templates
from app.workflows.definition import Definition, read
from app.workflows.graph import Tree
from app.workflows.intake import Place, RunWish
from app.workflows.plan import DEFAULT_CASE, Planned
from app.workflows.references import TooLarge, Values, kind, resolve
from app.workflows.rows import Change, Kept
from app.workflows.values import Outputs, Sight, item_of

log = logs.get("workflows")

LARGEST_PARAMETERS = 2_000_000
"""Characters of the parameters of one job, or of what a question shows, as JSON."""
LARGEST_TOGETHER = 20_000_000
"""Characters of all that starts by one statement; what is more starts by the next."""
LARGEST_ITEMS = 50_000_000
"""Characters of the steps that a map makes of its items."""
MOST_ITEMS = 1000
"""Of one map."""
MOST_ROWS = 5000
"""Steps of one run, with those of its maps."""
MOST_TAGS = 20


@dataclass
class Begun:
    """What starting some steps comes to, before it is written."""

    changes: list[Change] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    """The runs inside, by step; they stand still until somebody advances them."""
    planned: list[Planned] = field(default_factory=list)
    items: dict[str, tuple[int, Any]] = field(default_factory=dict)
    size: int = 0
    """Characters of what was resolved for them."""

    def write(self, workflow_id: str) -> list[Change]:
        """Submit the jobs, put the questions, write the steps; answers all changes of steps."""
        if self.orders:
            born = lifecycle.submit_many(list(self.orders.values()))
            for step_id, job in zip(self.orders, born, strict=True):
                self.changes.append(Change(step_id=step_id, status="running", job_id=job["job_id"]))
        if self.questions:
            for step_id, asked in zip(
                self.questions, asking.ask_many(list(self.questions.values())), strict=True
            ):
                self.changes.append(Change(step_id=step_id, status="awaiting_input", approval_id=asked))
        if self.planned:
            rows.insert_steps(workflow_id, self.planned, self.items)
        rows.write(workflow_id, self.changes)
        return self.changes


def start(run: Row, tree: Tree, step_ids: Sequence[str]) -> Begun:
    """Start some ready steps of a locked run, at least one; nothing is written but runs inside."""
    around = {root for step_id in step_ids if (root := item_of(tree, step_id))}
    told = rows.definitions(run["workflow_id"], {*step_ids, *around})
    outputs = Outputs(run["workflow_id"], tree)
    sight = Sight(run, outputs, told)
    begun = Begun()
    starts: list[_Start] = []
    for step_id in step_ids:
        step = tree.by_id[step_id]
        assert isinstance(step, Kept)
        starts.append(_Start(run, tree, step, told[step_id]["definition"], sight, begun))
    ready = [each for each in starts if each.attempt(each.demand_room)]
    outputs.load({name for each in ready for name in each.named})
    for each in ready:
        each.attempt(each.begin)
        if begun.size > LARGEST_TOGETHER:
            break
    return begun


@dataclass
class _Start:
    """One step that starts."""

    run: Row
    tree: Tree
    step: Kept
    definition: Mapping[str, Any]
    sight: Sight
    begun: Begun
    named: set[str] = field(default_factory=set)

    @property
    def step_id(self) -> str:
        return self.step.step_id

    @property
    def values(self) -> Values:
        return self.sight.values(self.step_id)

    def attempt(self, do: Callable[[], None]) -> bool:
        """Do it; what goes wrong fails the step. What nobody thought of does too: it would come again each time."""
        try:
            do()
        except CallboardError as error:
            self._become("failed", error=described(error))
            return False
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            log.exception("step.start", workflow_id=self.run["workflow_id"], step_id=self.step_id)
            self._become("failed", error=_unexpected(error))
            return False
        return True

    def demand_room(self) -> None:
        self.named = self.sight.named(self.step_id, self.step.kind)
        self.sight.outputs.demand_room(self.named)

    def begin(self) -> None:
        when = self.definition.get("when")
        condition = conditions.parse(when) if when else None
        if condition and not condition.holds(self.values):
            self._become("skipped", condition.said(self.values))
            return
        kinds: dict[str, Callable[[], None]] = {
            "agent": self._agent,
            "approval": self._approval,
            "workflow": self._workflow,
            "map": self._map,
            "branch": self._branch,
        }
        kinds.get(self.step.kind, self._run_inside)()

    def _become(self, status: str, reason: str | None = None, **facts: Any) -> None:
        self.begun.changes.append(Change(step_id=self.step_id, status=status, reason=reason, **facts))

    def _resolved(self, key: str, otherwise: Any) -> Any:
        found = resolve(self.definition.get(key, otherwise), self.values)
        size = len(dumps(found))
        self.begun.size += size
        if size > LARGEST_PARAMETERS:
            raise TooLarge(
                f"its {key} are longer than {LARGEST_PARAMETERS:,} characters with what they stand for"
            )
        return found

    def _run_inside(self) -> None:
        self._become("running")

    def _agent(self) -> None:
        said, run = self.definition, self.run
        priority = said.get("priority") or Priority(run["priority_rank"]).word
        tags = tuple(dict.fromkeys([*run["tags"], *said.get("tags", ())]))[:MOST_TAGS]
        given = self._resolved("parameters", {})
        wish = Wish(
            agent_id=said["agent_id"],
            parameters=sealing.opened_anywhere(given, self._may_open),
            secret=frozenset(sealing.places(given)),
            submitted_by=run["submitted_by"],
            priority=priority,
            task_name=f"{run['name']}: {said.get('title') or self.step_id}"[:255],
            tags=tags,
            timeout=said.get("timeout"),
            max_retries=said.get("retry"),
            budget=said.get("budget"),
            workflow_id=run["workflow_id"],
            step_id=self.step_id,
            schedule_id=run["schedule_id"],
            correlation_id=run["correlation_id"],
            traceparent=run["traceparent"],
        )
        self.begun.orders[self.step_id] = jobs.order(wish)

    def _approval(self) -> None:
        said = self.definition
        minutes = said.get("deadline_minutes")
        self.begun.questions[self.step_id] = Question(
            question=str(secrecy.hidden(None, self._resolved("question", ""))),
            requested_by=self.run["submitted_by"],
            workflow_id=self.run["workflow_id"],
            step_id=self.step_id,
            shown=secrecy.hidden(None, self._resolved("shown", None)),
            form=said.get("form"),
            approvers=tuple(
                asking.named(said.get("approvers", ()))
            ),  # never by placeholders: nobody names themselves
            deadline_at=clock.now() + timedelta(minutes=minutes) if minutes else None,
            on_timeout=said.get("on_timeout", "reject"),
        )

    def _workflow(self) -> None:
        run = self.run
        definition, version = self._definition_inside()
        given = self._resolved("inputs", {})
        wish = RunWish(
            definition=definition,
            submitted_by=run["submitted_by"],
            inputs=sealing.opened_anywhere(given, self._may_open),
            secret=frozenset(sealing.places(given)),
            priority=Priority(run["priority_rank"]).word,
            tags=tuple(run["tags"]),
            template_name=self.definition.get("template"),
            template_version=version,
            schedule_id=run["schedule_id"],
            correlation_id=run["correlation_id"],
            traceparent=run["traceparent"],
        )
        place = Place(workflow_id=run["workflow_id"], step_id=self.step_id, depth=run["depth"] + 1)
        child = intake.insert(wish, inside=place)
        self.begun.runs[self.step_id] = child
        self._become("running", child_workflow_id=child)

    def _may_open(self, owner: str) -> bool:
        """Whether this run may use what was sealed for a job or a run: its own, its steps', and those of its submitter."""
        table, _, its_id = owner.partition("/")
        own = {self.run["workflow_id"]} | {s.job_id for s in self.tree if isinstance(s, Kept)}
        return its_id in own or rows.is_of(table, its_id, self.run["submitted_by"])

    def _definition_inside(self) -> tuple[Definition, int | None]:
        name, version = self.definition.get("template"), self.definition.get("version")
        if name is None:
            return read(self.definition["definition"]), None
        found = templates.knowledge(self.run["submitted_by"]).version(name, version)
        if found is None:
            raise NotFound(f"there is no template {name!r}" + (f" version {version}" if version else ""))
        return read(found["definition"]), found["version"]

    def _map(self) -> None:
        items = resolve(self.definition["over"], self.values)
        if not isinstance(items, list):
            raise Invalid(f"`over` must be a list; it is {kind(items)}")
        if len(items) > MOST_ITEMS:
            raise Invalid(f"the list has {len(items):,} items; a map takes at most {MOST_ITEMS:,}")
        if (size := len(dumps(self.definition["step"])) * len(items)) > LARGEST_ITEMS:
            raise Invalid(f"its step, once for each item, is {size:,} characters; at most {LARGEST_ITEMS:,}")
        self.begun.size += size + len(dumps(items))
        made = self._items(len(items))
        if len(self.tree.by_id) + len(self.begun.planned) + len(made) > MOST_ROWS:
            raise Invalid(f"with its items the run would have more than {MOST_ROWS:,} steps")
        roots = [each.step_id for each in made if each.parent_step_id == self.step_id]
        self.begun.planned += made
        self.begun.items |= {step_id: (n, items[n]) for n, step_id in enumerate(roots)}
        self._become("running")

    def _items(self, count: int) -> list[Planned]:
        repeated, position = self.definition["step"], self.step.position + 1
        return [each for n in range(count) for each in plan.item_steps(repeated, self.step_id, n, position)]

    def _branch(self) -> None:
        cases: list[dict[str, str]] = self.definition["cases"]
        taken, why = DEFAULT_CASE, "no case holds"
        for n, case in enumerate(cases):
            condition = conditions.parse(case["when"])
            if condition.holds(self.values):
                taken, why = n, condition.said(self.values)
                break
        self._become("running", why)
        for inner in self.tree.inside(self.step_id):
            if inner.case_index != taken:
                self.begun.changes.append(
                    Change(step_id=inner.step_id, status="skipped", reason=f"not taken: {why}")
                )


def described(error: CallboardError) -> Row:
    """An error as a step shows it: {type, class, code, message, fields?}."""
    if isinstance(error, JobError):
        return lifecycle.describe(error)
    shown: Row = {
        "type": type(error).__name__,
        "class": "permanent",
        "code": error.code,
        "message": error.message[:2000],
    }
    if isinstance(error, Invalid) and error.fields:
        shown["fields"] = [list(each) for each in error.fields[:20]]
    return shown


def _unexpected(error: Exception) -> Row:
    said = f"the step could not be started: {type(error).__name__}"
    return {"type": type(error).__name__, "class": "permanent", "code": "unexpected", "message": said}


def as_kept(planned: Planned, index: int | None) -> Kept:
    """A step that was just written, as rows.states would read it."""
    said = planned.definition
    return Kept(
        step_id=planned.step_id,
        kind=planned.kind,
        parent=planned.parent_step_id,
        position=planned.position,
        case_index=planned.case_index,
        item_index=index,
        depends_on=tuple(planned.depends_on),
        may_fail=bool(said.get("continue_on_failure")),
        max_parallel=said.get("max_parallel"),
        min_success=said.get("min_success"),
    )
