"""Commands by which programs and models work in a session: read, sent to whom they concern, answered.

    {"command": "...", "session_id": "...", "request_id"?: "...", "callback_url"?: "...", "payload": {...}}

Whoever carries one out gives the transaction, and rolls it back if this raises: then nothing of the command is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from app.accounts import permissions
from app.accounts.permissions import Principal
from app.agents import registry, secrecy
from app.db import Row, db
from app.errors import CallboardError, Conflict, Invalid, NotFound
from app.jobs import idempotency
from app.sessions import access, changes, delegating, events, made, memory, shapes, talk
from app.sessions.shapes import Envelope, Shape
from app.workflows import definition, runs
from app.workflows.complaints import nearest

JSON = dict[str, Any]

CREATED, DONE, MIXED = 201, 200, 207
PAYLOAD = "/payload"


@dataclass(frozen=True)
class Done:
    """What a command came to: the status of HTTP that says it, and the answer."""

    status: int
    body: JSON
    replayed: bool = False
    """It was done before, under the same request_id."""


@dataclass(frozen=True)
class Asked:
    """One command on its way: for which session, by whom, with what."""

    command: str
    session_id: str
    who: Principal
    payload: JSON
    at: str = PAYLOAD
    """The JSON pointer of the payload."""
    callback_url: str | None = None


@dataclass(frozen=True)
class Answer:
    """What one command came to, before it is put into words of JSON."""

    ids: list[str] = field(default_factory=list)
    result: JSON = field(default_factory=dict)
    created: bool = False
    status: int | None = None
    ok: bool = True


def carry_out(envelope: JSON, who: Principal) -> Done:
    """Do what the command says, as `who`; answers {ok, command, session_id, ids, result}.

    Raises Invalid with JSON pointers for what cannot be read, else what the part concerned raises. With a `request_id`
    the same command again within a day answers as before and does nothing; another one under it is Invalid.
    """
    read = shapes.read(Envelope, envelope)
    asked = _asked(read, who)
    if read.request_id is None:
        return _done(asked)
    key = f"session {asked.session_id} {read.request_id}"
    before = _before(who, key, envelope)
    if before is not None:
        return Done(before["status"], before["response"], replayed=True)
    done = _done(asked)
    idempotency.finish(who.user_id, key, done.status, done.body)
    return done


def _asked(read: Envelope, who: Principal) -> Asked:
    command = named(read.command)
    session_id = read.session_id
    if command == "create_session":
        session_id = session_id or shapes.read(shapes.CreateSession, read.payload, PAYLOAD).id
    if session_id is None:
        raise Invalid("session_id: is required", [("/session_id", "is required")])
    return Asked(command, session_id, who, read.payload, PAYLOAD, read.callback_url)


def named(name: str, at: str = "/command") -> str:
    """The command of that name or alias; Invalid for one that does not exist."""
    plain = name.strip().lower()
    found = ALIASES.get(plain, plain)
    if found in COMMANDS:
        return found
    known = sorted(COMMANDS)
    near = nearest(plain, [*known, *ALIASES])
    said = "is no command; " + (f"did you mean {near}?" if near else f"there are {', '.join(known)}")
    raise Invalid(f"{name[:100]!r} {said}", [(at, said)])


def secret_places(envelope: JSON, at: str = "") -> Iterator[str]:
    """JSON pointers of what the agents that a command hands work to call secret; it need not be a sound command."""
    payload = envelope.get("payload")
    if not isinstance(payload, dict):
        return
    within = payload.get("commands")
    for n, item in enumerate(within if isinstance(within, list) else ()):
        if isinstance(item, dict):
            yield from secret_places(item, f"{at}{PAYLOAD}/commands/{n}")
    agent_id = payload.get("agent_id", payload.get("agent_name"))
    if not isinstance(agent_id, str):
        return
    with suppress(CallboardError):
        schema = registry.demand(agent_id).schema
        for name in ("parameters", "input_data"):
            for place in secrecy.places(schema, payload.get(name)):
                yield f"{at}{PAYLOAD}/{name}{place}"


def _before(who: Principal, key: str, envelope: JSON) -> JSON | None:
    """What was answered under this request_id, if it was; the words of errors name it as the caller does."""
    asked = {name: value for name, value in envelope.items() if name != "request_id"}
    try:
        return idempotency.begin(who.user_id, key, asked)
    except Invalid as error:
        said = "was used for another command; use a fresh one"
        if not error.fields:
            said = "must be 1 to 80 printable characters"
        raise Invalid(f"request_id {said}", [("/request_id", said)]) from error
    except Conflict as error:
        raise Conflict("a command with this request_id is under way; ask again in a moment") from error


def _done(asked: Asked) -> Done:
    before = _last_seq(asked) if asked.callback_url else 0
    answer = _answer(asked)
    if asked.callback_url:
        events.send(asked.session_id, asked.callback_url, after=before)
    status = answer.status or (CREATED if answer.created else DONE)
    body = {
        "ok": answer.ok,
        "command": asked.command,
        "session_id": asked.session_id,
        "ids": answer.ids,
        "result": answer.result,
    }
    return Done(status, body)


def _answer(asked: Asked) -> Answer:
    """Do it; complaints about what is in the payload are about its place in the whole."""
    try:
        return _DO[asked.command](asked)
    except Invalid as error:
        if all(where.startswith(asked.at) for where, _ in error.fields):
            raise
        raise _below(error, asked.at) from error


def _last_seq(asked: Asked) -> int:
    """The number behind which everything comes of this command, as it holds the session until it is done."""
    row = access.find(asked.session_id, hold=True)
    if row is not None:
        return int(row["last_seq"])
    if asked.command in ("create_session", "batch_workflow"):
        return 0
    raise NotFound(f"there is no session {asked.session_id}")


# -- the commands, one after the other


def _create(asked: Asked) -> Answer:
    new = shapes.read(shapes.CreateSession, asked.payload, asked.at)
    if new.id not in (None, asked.session_id):
        raise _refused(asked.at, "id", "differs from session_id")
    made_now = changes.create(
        asked.session_id,
        who=asked.who,
        title=new.title,
        participants=new.participants,
        metadata=new.metadata,
        callback_url=new.callback_url or asked.callback_url,
    )
    return Answer([asked.session_id], _state(made_now), created=True)


def _say(asked: Asked) -> Answer:
    batch = shapes.read(shapes.ConversationBatch, asked.payload, asked.at)
    _join(asked)
    ids = talk.add(asked.session_id, [chunk.model_dump() for chunk in batch.chunks], by=asked.who.user_id)
    return Answer(ids, {"count": len(ids)}, created=True)


def _remember(asked: Asked) -> Answer:
    wish = shapes.read(shapes.StoreMemory, asked.payload, asked.at)
    _join(asked)
    row = memory.store(asked.session_id, **wish.model_dump(), by=asked.who.user_id)
    told = {name: row[name] for name in ("memory_id", "key", "version")}
    return Answer([row["memory_id"]], told, created=row["version"] == 1)


def _recall(asked: Asked) -> Answer:
    wish = shapes.read(shapes.QueryMemories, asked.payload, asked.at)
    access.of(asked.session_id, asked.who, "view_session_content")
    found = memory.page(asked.session_id, **wish.model_dump())
    return Answer([row["memory_id"] for row in found], {"memories": found, "count": len(found)})


def _delegate(asked: Asked) -> Answer:
    wish = shapes.read(shapes.DelegateTask, asked.payload, asked.at)
    row = delegating.delegate(
        asked.session_id,
        agent_id=wish.agent_id,
        parameters=wish.parameters,
        priority=wish.priority,
        who=asked.who,
        callback_url=asked.callback_url,
        task_name=wish.title,
        tags=tuple(wish.tags),
        timeout=wish.timeout,
    )
    told = {
        "job_id": row["job_id"],
        "task_id": row["job_id"],
        "status": row["status"],
        "agent_id": row["agent_id"],
        "status_url": f"/api/v1/jobs/{row['job_id']}/status",
    }
    return Answer([row["job_id"]], told, created=True)


def _make(asked: Asked) -> Answer:
    wish = shapes.read(shapes.AddArtifact, asked.payload, asked.at)
    _join(asked)
    row = made.add(asked.session_id, **wish.model_dump(), by=asked.who.user_id)
    told = {name: row[name] for name in ("artifact_id", "name", "type", "url", "size_bytes")}
    return Answer([row["artifact_id"]], told, created=True)


def _update(asked: Asked) -> Answer:
    wish = shapes.read(shapes.UpdateSession, asked.payload, asked.at)
    given: JSON = wish.model_dump(exclude_unset=True)
    row = changes.change(asked.session_id, who=asked.who, **given)
    return Answer([asked.session_id], _state(row))


def _moved_to(status: str) -> Callable[[Asked], Answer]:
    def move(asked: Asked) -> Answer:
        shapes.read(shapes.Nothing, asked.payload, asked.at)
        return Answer(
            [asked.session_id], _state(changes.change(asked.session_id, who=asked.who, status=status))
        )

    return move


def _batch(asked: Asked) -> Answer:
    wish = shapes.read(shapes.BatchWorkflow, asked.payload, asked.at)
    if wish.steps is not None:
        return _start(asked, wish, wish.steps)
    items = wish.commands or []
    return _all_or_none(asked, items) if wish.atomic else _each_by_itself(asked, items)


# -- several at once


def _all_or_none(asked: Asked, items: list[JSON]) -> Answer:
    """All of them, or what is wrong with all that cannot even be read, or what stopped the first that failed."""
    read, wrong = [], list[tuple[str, str]]()
    for n, item in enumerate(items):
        try:
            read.append(_item(asked, n, item, check=True))
        except Invalid as error:
            wrong += error.fields or [(f"{asked.at}/commands/{n}", error.message)]
    if wrong:
        where, said = wrong[0]
        raise Invalid(f"{where}: {said}; nothing of the batch was done", wrong[: shapes.MOST_COMPLAINTS])
    results = []
    for n, each in enumerate(read):
        try:
            results.append(_said(n, each, _answer(each)))
        except CallboardError as error:
            error.message = f"command {n} ({each.command}): {error.message}; nothing of the batch was done"
            error.args = (error.message,)
            raise
    return _together(results)


def _each_by_itself(asked: Asked, items: list[JSON]) -> Answer:
    """What works is done; the others say why not."""
    return replace(_together([_tried(asked, n, item) for n, item in enumerate(items)]), status=MIXED)


def _tried(asked: Asked, n: int, item: JSON) -> JSON:
    db.run("SAVEPOINT session_command")
    try:
        each = _item(asked, n, item)
        result = _said(n, each, _answer(each))
    except CallboardError as error:
        db.run("ROLLBACK TO SAVEPOINT session_command")
        result = {"index": n, "command": str(item.get("command", ""))[:100], "ok": False}
        result |= {"status": error.status, "error": _error(error)}
    db.run("RELEASE SAVEPOINT session_command")
    return result


def _item(asked: Asked, n: int, item: JSON, *, check: bool = False) -> Asked:
    """The n-th command of a batch; `check` also reads its payload."""
    at = f"{asked.at}/commands/{n}"
    read = shapes.read(shapes.Envelope, item, at)
    if read.request_id is not None or read.callback_url is not None:
        name = "request_id" if read.request_id is not None else "callback_url"
        raise _refused(at, name, "belongs to the whole batch")
    if read.session_id not in (None, asked.session_id):
        raise _refused(at, "session_id", "must be the session of the batch, or left out")
    command = named(read.command, f"{at}/command")
    if command == "batch_workflow":
        raise _refused(at, "command", "cannot be inside of another batch")
    if check:
        shapes.read(COMMANDS[command], read.payload, f"{at}{PAYLOAD}")
    return Asked(command, asked.session_id, asked.who, read.payload, f"{at}{PAYLOAD}", asked.callback_url)


def _refused(at: str, name: str, said: str) -> Invalid:
    return Invalid(f"{at}/{name}: {said}", [(f"{at}/{name}", said)])


def _said(n: int, each: Asked, answer: Answer) -> JSON:
    status = CREATED if answer.created else DONE
    plain = {"index": n, "command": each.command, "ok": True, "status": status}
    return plain | {"ids": answer.ids, "result": answer.result}


def _together(results: list[JSON]) -> Answer:
    done = [result for result in results if result["ok"]]
    return Answer(
        [each for result in done for each in result["ids"]],
        {"results": results, "done": len(done), "refused": len(results) - len(done)},
        created=any(result["status"] == CREATED for result in done),
        ok=len(done) == len(results),
    )


def _error(error: CallboardError) -> JSON:
    told: JSON = {"code": error.code, "message": error.message}
    if isinstance(error, Invalid) and error.fields:
        told["errors"] = [{"pointer": where, "message": said} for where, said in error.fields]
    return told


def _start(asked: Asked, wish: shapes.BatchWorkflow, steps: list[JSON]) -> Answer:
    """A run of a workflow for the session; its end comes back as an event."""
    delegating.demand_no_run(asked.who)
    permissions.demand(asked.who, "submit_workflow")
    _join(asked)
    name = wish.name or f"Batch of {asked.session_id}"
    run = runs.start(
        runs.RunWish(
            definition=definition.read({"name": name, "steps": steps}),
            submitted_by=asked.who.user_id,
            inputs=wish.inputs,
            priority=wish.priority,
            session_id=asked.session_id,
            notify={"callback_url": asked.callback_url} if asked.callback_url else None,
        )
    )
    told = {"workflow_id": run["workflow_id"], "name": name, "total_steps": run["total_steps"]}
    events.append(asked.session_id, "workflow.started", told, asked.who.user_id)
    return Answer([run["workflow_id"]], told | {"status": run["status"]}, created=True)


# -- what several of them need


def _join(asked: Asked) -> Row:
    """The session, held, if they may take part in it and it takes anything."""
    access.of(asked.session_id, asked.who, "join_session")
    return access.open_to_content(asked.session_id)


def _state(row: Row) -> JSON:
    return {name: row[name] for name in ("status", "title", "participants", "last_seq")}


def _below(error: Invalid, at: str) -> Invalid:
    """The same complaint, with the place of the payload before its pointers."""
    fields = [(f"{at}{where}" if where.startswith("/") else at, said) for where, said in error.fields]
    return type(error)(error.message, fields)


COMMANDS: dict[str, type[Shape]] = {
    "create_session": shapes.CreateSession,
    "conversation_batch": shapes.ConversationBatch,
    "store_memory": shapes.StoreMemory,
    "query_memories": shapes.QueryMemories,
    "delegate_task": shapes.DelegateTask,
    "add_artifact": shapes.AddArtifact,
    "batch_workflow": shapes.BatchWorkflow,
    "update_session": shapes.UpdateSession,
    "pause_session": shapes.Nothing,
    "resume_session": shapes.Nothing,
    "complete_session": shapes.Nothing,
}
"""What each command takes as its payload."""

ALIASES = {
    "add_conversation": "conversation_batch",
    "pause": "pause_session",
    "resume": "resume_session",
    "complete": "complete_session",
}

_DO: dict[str, Callable[[Asked], Answer]] = {
    "create_session": _create,
    "conversation_batch": _say,
    "store_memory": _remember,
    "query_memories": _recall,
    "delegate_task": _delegate,
    "add_artifact": _make,
    "batch_workflow": _batch,
    "update_session": _update,
    "pause_session": _moved_to("paused"),
    "resume_session": _moved_to("active"),
    "complete_session": _moved_to("completed"),
}
