"""Run a coding CLI as an agent: prompt → argument list → box → events → result.

    cli: {adapter: claude, model: sonnet, permission_mode: acceptEdits, max_turns: 50, workspace: worktree}

What is particular to a CLI is in adapters/, where it works in worktree.py, how its stream becomes the job's story in
story.py. Here is the errand: which session to go on with, and what its end means.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from jsonschema import Draft202012Validator

from actors.runners import adapters, worktree
from actors.runners.adapters.base import Account, Adapter, Order
from actors.runners.adapters.heard import Final
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.box import Ending, run_boxed
from actors.runners.environment import asked_for, environment, hide, search_path
from actors.runners.feedback import draft_number, words_of
from actors.runners.order import Limits, find_program
from actors.runners.output import last_json_object
from actors.runners.prompt import prompt_for
from actors.runners.story import Story, Transcript
from app.errors import Cancelled, JobError, PermanentError, TemporaryError

GO_ON = (
    "You were interrupted while working on the task below. Look at what is already there, do not repeat what is done,"
    " and go on until the task is finished.\n\n"
)
OUTPUT_MB = 512
VERSION_SECONDS = 1.5
REMEMBER_SECONDS = 300.0
SHORTEST_SECRET = 8
VERSION = re.compile(r"\d+(?:\.\d+)+")


class LostSession(Exception):
    """The session cannot be gone on with, or its id is taken."""


class CliRunner:
    """Runs `config.adapter`.

    `config`: adapter (`claude`, `codex`, `gemini`, `generic`), program, prompt (a template), model,
    permission_mode, allowed_tools, disallowed_tools, max_turns, args, workspace (`scratch`, `worktree`), env,
    secrets, resume (true), max_output_mb, install; for `generic` also argv, output, stdin, ok_exit_codes.
    """

    name = "cli"

    def run(self, work: Work, context: Context) -> JSON:
        """Answer {result, structured?, session_id, turns, model, files_changed, usage, permission_denials}."""
        adapter = adapters.named(work.config.get("adapter"))
        config = checked(adapter, work.config)
        with worktree.opened(work, context) as place, transcribed(place, work, context) as transcript:
            errand = Errand(
                work=replace(work, config=config),
                context=context,
                adapter=adapter,
                place=place,
                transcript=transcript,
            )
            try:
                result = errand.run()
            except (JobError, Cancelled) as error:
                if worktree.is_end(error):
                    place.keep_changes()
                raise
            result["files_changed"] = place.keep_changes()
            place.over = not config.get("more_drafts")
        return result

    def forget(self, work: Work, context: Context) -> None:
        """Remove what was kept for another draft: there will be none."""
        worktree.forget(work, context)

    def health(self, config: JSON) -> Health:
        """`ready` if the program is there, not too old, and has a key or a login; nothing is called or paid."""
        hint = config.get("install")
        try:
            adapter = adapters.named(config.get("adapter"))
            hint = hint or (adapter.package and f"Install it for the worker's user: {install_hint(adapter)}")
            config = checked(adapter, config)
            path = find_program(config["program"], search_path())
            account = account_of(adapter, config)
        except PermanentError as error:
            return Health("unavailable", f"{error.message} {hint}" if hint else error.message)
        if account.kind == "none" and adapter.way_in:
            return Health("unavailable", f"{adapter.title} has no account here. {adapter.way_in}")
        version = version_of(path, adapter.package)
        if version and numbers(version) < adapter.least_version:
            least = ".".join(map(str, adapter.least_version))
            return Health(
                "degraded", f"{adapter.title} {version} is older than {least}: {install_hint(adapter)}"
            )
        return Health()


@contextmanager
def transcribed(place: worktree.Place, work: Work, context: Context) -> Iterator[Transcript]:
    """The transcript of this attempt, kept as an artifact however it ends."""
    transcript = Transcript(place.transcript)
    transcript.note(attempt=work.attempt)
    try:
        yield transcript
    finally:
        try:
            transcript.keep(context)
        except (PermanentError, OSError) as error:
            context.log(f"the transcript was not kept: {error}", level="warning", source="runner")


@dataclass(kw_only=True)
class Errand:
    """One attempt: a run of the CLI, and a second one if its session is lost."""

    work: Work
    context: Context
    adapter: Adapter
    place: worktree.Place
    transcript: Transcript
    runs: int = 0

    def run(self) -> JSON:
        """See it through; answers the result without the changed files."""
        self.context.progress(0, f"Starting {self.adapter.title}")
        if version := version_of(self._program(), self.adapter.package):
            self.context.pin(cli_version=version)
        order = self._order(fresh=False)
        try:
            return self._run(order)
        except LostSession as lost:
            self.context.event(
                "provider",
                f"The session {order.session_id} cannot be gone on with; a new one is begun. {lost}",
                level="warning",
                session_id=order.session_id,
            )
        return self._run(self._order(fresh=True))

    def _program(self) -> str:
        return find_program(self.work.config["program"], search_path())

    def _order(self, *, fresh: bool) -> Order:
        """What to run: the kept session again if its place is still here, else a new one."""
        config, kept = self.work.config, self._kept()
        resume = not fresh and self._can_resume(kept)
        if not resume:
            session_id = str(uuid.uuid4()) if self.adapter.names_sessions else None
            kept = {"adapter": self.adapter.name, "session_id": session_id, "begun": False, "counters": {}}
        prompt = self._prompt(kept, resume=resume)
        self._keep(kept | {"draft": draft_number(self.work)})
        return Order(
            prompt=prompt,
            instructions=str(config.get("instructions") or ""),
            workspace=self.place.work,
            home=self.place.home,
            session_id=kept["session_id"],
            resume=resume,
            config=config,
            parameters=self.work.parameters,
            account=account_of(self.adapter, config),
            output_schema=config.get("output_schema"),
            budget_usd=config.get("budget_usd_left"),
        )

    def _prompt(self, kept: JSON, *, resume: bool) -> str:
        """The task; to a session that was interrupted in it, or that made an earlier draft, what to do now."""
        prompt = prompt_for(self.work.config.get("prompt"), self.work.parameters).strip()
        feedback = self.work.feedback
        if feedback is None:
            return GO_ON + prompt if resume else prompt
        before = kept.get("draft", 1)
        known = resume and before == feedback["attempt"] == feedback["next"] - 1
        words = words_of(feedback, with_draft=not known)
        if not resume:
            return f"{prompt}\n\n---\n\n{words}"
        return GO_ON + words if before == feedback["next"] else words

    def _can_resume(self, kept: JSON) -> bool:
        wanted = self.adapter.resumes and self.work.config.get("resume", True)
        begun = (
            bool(kept.get("begun") and kept.get("session_id")) and kept.get("adapter") == self.adapter.name
        )
        if wanted and begun and not self.place.found:
            message = "The earlier attempt's session is not on this machine; a new one is begun."
            self.context.event("provider", message, level="warning", session_id=kept["session_id"])
        return bool(wanted and begun and self.place.found)

    def _kept(self) -> JSON:
        kept = self.context.checkpoint().get("cli")
        return kept if isinstance(kept, dict) else {}

    def _keep(self, kept: JSON) -> None:
        kept = kept | {"place": self.place.job_id}
        self.context.checkpoint(self.context.checkpoint() | {"cli": kept})

    def _run(self, order: Order) -> JSON:
        """Run the CLI once; raises LostSession where a new session may help."""
        self.runs += 1
        self.adapter.prepare(order)
        reader = self.adapter.reader(order, self._kept().get("counters"))
        story = Story(
            self.context,
            self.adapter,
            order,
            reader,
            transcript=self.transcript,
            run_id=f"{self.work.idempotency_key}:{self.runs}",
            on_session=lambda session_id: self._keep(
                self._kept() | {"session_id": session_id, "begun": True}
            ),
        )
        try:
            ending = self._box(order, story)
            story.hear(reader.end(ending.exit_code))
        finally:
            story.close()
            counters = story.final.counters if story.final else reader.counters
            self._keep(self._kept() | {"counters": counters})
        return self._result(order, story, self._judged(order, ending, story.final))

    def _box(self, order: Order, story: Story) -> Ending:
        secrets = order.account.secrets
        try:
            ending = run_boxed(
                self.adapter.argv(order),
                context=self.context,
                cwd=order.workspace,
                env=self._environment(order),
                limits=Limits(
                    timeout_seconds=self.work.timeout_seconds,
                    memory_mb=self.work.memory_mb,
                    output_bytes=int(order.config.get("max_output_mb", OUTPUT_MB)) << 20,
                ),
                stdin=self.adapter.stdin(order).encode("utf-8", "replace"),
                on_line=story,
            )
        except JobError as error:
            if isinstance(said := error.details.get("stderr"), str):
                error.details["stderr"] = hide(said, secrets)
            raise
        return replace(ending, stderr=hide(ending.stderr, secrets))

    def _environment(self, order: Order) -> dict[str, str]:
        """What every agent gets, the account, and what the CLI needs; git stays inside the job's folder."""
        usual = environment(replace(self.work, config={}), order.home)
        name, address = f"Callboard {order.config.get('adapter')}", "callboard@localhost"
        people = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", name), ("EMAIL", address))
        }
        ceiling = {"GIT_CEILING_DIRECTORIES": str(self.place.folder)}
        return usual | people | ceiling | dict(order.account.given) | self.adapter.environment(order)

    def _judged(self, order: Order, ending: Ending, final: Final | None) -> Final:
        """The final word if it is a success: exit code 0, a last word, and that one good."""
        good_exit = ending.exit_code == 0 or self.adapter.judges_exit_code
        if final and final.ok and good_exit:
            return final
        said = f"{ending.stderr}\n{final.text if final else ''}"
        lost = next((mark for mark in self.adapter.lost_session if mark in said), None)
        if lost is None and order.resume and final and final.status == 400:
            lost = final.text[:300]
        if lost is not None and self.runs == 1:
            raise LostSession(lost)
        raise self._failure(order, ending, final)

    def _failure(self, order: Order, ending: Ending, final: Final | None) -> JobError:
        facts: dict[str, object] = {"exit_code": ending.exit_code, "stderr": ending.stderr}
        if final is None or final.ok:
            words = ending.stderr.strip().rpartition("\n")[2][:500]
            how = (
                f"was ended by signal {-ending.exit_code}"
                if ending.exit_code < 0
                else f"ended with exit code {ending.exit_code}"
            )
            return TemporaryError(
                f"{self.adapter.title} {how} before it was done. {words}".strip(), details=facts
            )
        if final.status is None and order.account.kind == "none" and self.adapter.way_in:
            return PermanentError(
                f"{self.adapter.title}: {final.text[:500]} {self.adapter.way_in}", details=facts
            )
        error = self.adapter.failure(final)
        error.details = facts | error.details
        return error

    def _result(self, order: Order, story: Story, final: Final) -> JSON:
        result = story.so_far() | {"result": final.text or story.last_text}
        result["permission_denials"] = list(final.denials)
        structured = final.structured
        if order.output_schema is not None:
            structured = fitting(structured or last_json_object(final.text), order.output_schema)
        return result if structured is None else result | {"structured": structured}


def fitting(answer: JSON | None, schema: JSON) -> JSON:
    """`answer` if it fits the agent's schema; the model may do better at the next try."""
    if answer is None:
        raise TemporaryError("The answer is no JSON object, and the agent's output schema wants one.")
    wrong = next(iter(Draft202012Validator(schema).iter_errors(answer)), None)
    if wrong is not None:
        message = (
            f"The answer does not fit the agent's output schema at {wrong.json_path}: {wrong.message[:500]}"
        )
        raise TemporaryError(message, details={"answer": json.dumps(answer)[:2000]})
    return answer


def checked(adapter: Adapter, config: JSON) -> JSON:
    """The configuration with its program; raises PermanentError if it cannot work whatever the parameters are."""
    template = config.get("argv") or [""]
    program = config.get("program") or adapter.program or template[0]
    if not isinstance(program, str) or not program or "{{" in program:
        raise PermanentError("The agent's `cli` must name a program, and it cannot come from a parameter.")
    for key in ("args", "allowed_tools", "disallowed_tools"):
        if not isinstance(config.get(key) or [], list):
            raise PermanentError(f"`cli.{key}` must be a list.")
    worktree.check(config)
    prompt_for(config.get("prompt"), {})
    for key in ("env", "secrets"):
        asked_for(config, key)
    return config | {"program": program}


def account_of(adapter: Adapter, config: JSON) -> Account:
    """The key or login the CLI will use: variables of the worker first, then a login of the worker's user."""
    given = asked_for({"env": adapter.settings}, "env") | asked_for(config, "env")
    secrets = config if "secrets" in config else {"secrets": (*adapter.keys, *adapter.tokens)}
    given |= asked_for(secrets, "secrets")
    given = {name: value for name, value in given.items() if value}
    hidden = secrets_among(given, (*adapter.keys, *adapter.tokens, *(config.get("secrets") or ())))
    if any(name in given for name in adapter.keys):
        return Account(kind="api", given=given, secrets=hidden)
    if any(name in given for name in adapter.tokens):
        return Account(kind="subscription", given=given, secrets=hidden)
    folder = login_folder(adapter)
    if any((folder / name).is_file() for name in adapter.login_files):
        return Account(kind=adapter.billing(folder), given=given, folder=folder, secrets=hidden)
    return Account(kind="none", given=given, secrets=hidden)


def secrets_among(given: Mapping[str, str], names: Iterable[str]) -> tuple[str, ...]:
    """The values of `names`, longest first; what is very short stands in every other word and hides nothing."""
    found = {given[name] for name in names if len(given.get(name, "")) >= SHORTEST_SECRET}
    return tuple(sorted(found, key=len, reverse=True))


def login_folder(adapter: Adapter) -> Path:
    """Where the worker's user is logged in, if anywhere."""
    named: Mapping[str, str] = asked_for({"env": [adapter.login_variable]}, "env")
    folder = named.get(adapter.login_variable)
    return Path(folder) if folder else Path.home() / adapter.login_folder


def install_hint(adapter: Adapter) -> str:
    """The command that installs the CLI."""
    return f"npm install -g {adapter.package}"


def version_of(path: str, package: str) -> str | None:
    """The version of the CLI at `path`, remembered for a few minutes; None if it does not say."""
    return _version(path, package, int(time.monotonic() / REMEMBER_SECONDS))


@functools.lru_cache(maxsize=64)
def _version(path: str, package: str, _period: int) -> str | None:
    if not package:
        return None
    for folder in list(Path(path).resolve().parents)[:5]:
        with suppress(OSError, ValueError):
            manifest = json.loads((folder / "package.json").read_text(encoding="utf-8"))
            if manifest.get("name") == package:
                return str(manifest["version"])
    found = VERSION.search(_asked_version(path))
    return found[0] if found else None


def _asked_version(path: str) -> str:
    """What `--version` prints, if it does so soon: health is asked for in a worker's heartbeat."""
    try:
        process = subprocess.Popen(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": search_path()},
            start_new_session=True,
        )
    except OSError:
        return ""
    with process:
        try:
            return process.communicate(timeout=VERSION_SECONDS)[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return ""


def numbers(version: str) -> tuple[int, ...]:
    """`2.1.197` as (2, 1, 197)."""
    return tuple(int(part) for part in re.findall(r"\d+", version))
