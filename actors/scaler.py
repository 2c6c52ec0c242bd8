"""The scaler: decides how many workers are wanted, and tells whatever starts and stops them.

One process at a time decides and writes it down. Whoever may then calls the platform: the try is written down before
it is made, so that several schedulers, or one that dies in the middle, call once for each decision and try.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import httpx2
import orjson

from actors.runners import outbound
from app import audit, clock
from app.db import Row, db
from app.errors import JobError, TemporaryError
from app.jobs import sizing
from app.observe import logs
from app.ops.growing import PLAN
from app.ops.processes import write_atomically
from app.settings import Settings
from app.workers import fleet

log = logs.get("scaler")

SCALE_LOCK = 0x0CA11B20
TRIES = 5
FIRST_WAIT_SECONDS = 15.0
"""After a try that failed; doubled each time."""
LONGEST_SAID = 2_000


def scale(settings: Settings) -> None:
    """Every sweep: decide, and tell the platform and our own supervisor what they do not know yet."""
    decide(settings)
    if settings.workers and not settings.worker_bounds.is_fixed:
        lay_out(settings)
    if settings.scale_command or settings.scale_url:
        tell(settings)


def decide(settings: Settings) -> Row | None:
    """Write down what is wanted now if that changed, unless another process is at it."""
    with db.transaction():
        if not _alone():
            return None
        told = sizing.look(settings.worker_bounds, pace=settings.scale_pace)
    if told and told["wanted"] != told["before"]:
        log.info("scaling.decided", wanted=told["wanted"], before=told["before"], why=told["why"])
    return told


def lay_out(settings: Settings) -> None:
    """Write the number into the home, with how much each worker of this host has to do, for the supervisor."""
    with db.quick():
        newest, workers = sizing.history(1), fleet.listing()
    if newest:
        busy = {
            str(each["process_id"]): each["busy"]
            for each in workers
            if each["hostname"] == os.uname().nodename
        }
        text = json.dumps({"wanted": newest[0]["wanted"], "why": newest[0]["why"], "busy": busy})
        with suppress(OSError):  # a home that is not there, or read only: then nobody supervises in it
            write_atomically(settings.home / "run" / PLAN, text)


def tell(settings: Settings) -> None:
    """Tell the platform of the newest decision, unless it knows, or the next try is not due."""
    with db.transaction():
        decision = _untold(settings.scale_timeout_seconds) if _alone() else None
        if decision is None:
            return
        audit.record(
            "scaling.called", actor="", subject=_subject(decision), details={"try": decision["tries"] + 1}
        )
    wrong = _run(settings, decision) if settings.scale_command else _post(settings, decision)
    with db.transaction():
        details = {"wanted": decision["wanted"]} | ({"error": wrong[:LONGEST_SAID]} if wrong else {})
        action = "scaling.refused" if wrong else "scaling.told"
        audit.record(action, actor="", subject=_subject(decision), details=details)
    if wrong:
        log.warning(
            "scaling.refused", wanted=decision["wanted"], tries=decision["tries"] + 1, error=wrong[:300]
        )
    else:
        log.info("scaling.told", wanted=decision["wanted"])


def _alone() -> bool:
    db.run("SET LOCAL idle_in_transaction_session_timeout = '10s'")
    return bool(db.value("SELECT pg_try_advisory_xact_lock(%(key)s)", key=SCALE_LOCK))


def _subject(decision: Row) -> str:
    return f"scaling:{decision['decision_id']}"


def _untold(timeout_seconds: float) -> Row | None:
    """The newest decision with {tries}, if somebody is to be told of it now."""
    newest = sizing.history(1)
    if not newest:
        return None
    decision = newest[0]
    calls = db.row(
        """SELECT count(*) FILTER (WHERE action = 'scaling.called') AS tries, bool_or(action = 'scaling.told') AS told,
                  extract(epoch FROM clock_timestamp() - max(at))::float AS since,
                  count(*) FILTER (WHERE action = 'scaling.refused') AS refused
           FROM audit_log WHERE subject = %(subject)s AND action LIKE 'scaling.%%'""",
        subject=_subject(decision),
    )
    assert calls is not None
    if calls["told"] or calls["tries"] >= TRIES:
        return None
    under_way = calls["tries"] > calls["refused"]
    wait = timeout_seconds + 10 if under_way else FIRST_WAIT_SECONDS * 2 ** (calls["tries"] - 1)
    if calls["tries"] and calls["since"] < wait:
        return None
    return decision | {"tries": calls["tries"]}


def _run(settings: Settings, decision: Row) -> str | None:
    """Run the command; what went wrong, None for nothing. Its whole group ends with its time."""
    words = [
        word.replace("{wanted}", str(decision["wanted"])) for word in shlex.split(settings.scale_command)
    ]
    told = {"CALLBOARD_WANTED_WORKERS": str(decision["wanted"]), "CALLBOARD_WANTED_WHY": decision["why"]}
    told["CALLBOARD_WANTED_BEFORE"] = str(decision["before"] or "")
    try:
        process = subprocess.Popen(
            words,
            env=settings.scale_environ() | told,
            cwd=Path("/"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return f"{words[0]} cannot be started: {error.strerror}"
    try:
        said, _ = process.communicate(timeout=settings.scale_timeout_seconds)
    except subprocess.TimeoutExpired:
        return f"it took longer than {settings.scale_timeout_seconds:g} s and was ended"
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    text = said.decode(errors="replace").strip()[-LONGEST_SAID:]
    if text:
        log.info("scaling.said", output=text)
    return f"it ended with {process.returncode}: {text[-500:]}" if process.returncode else None


def _post(settings: Settings, decision: Row) -> str | None:
    """POST the number, signed as all webhooks are; what went wrong, None for nothing."""
    from actors.channels import webhook  # late: few have a URL

    body = orjson.dumps(
        {
            "type": "scaling.wanted",
            "timestamp": clock.iso(decision["at"]),
            "data": {name: decision[name] for name in ("decision_id", "wanted", "before", "why")},
        }
    )
    headers = webhook.headers(f"scaling_{decision['decision_id']}", body, [settings.scale_secret])
    late = outbound.deadline(settings.scale_timeout_seconds, lambda: TemporaryError("it took too long"))
    try:
        # Whoever sets the environment may name an address of the own network; nobody else can.
        with outbound.client(
            patrol=late, timeout=settings.scale_timeout_seconds, allow_private=True
        ) as client:
            answer = client.post(settings.scale_url, content=body, headers=headers)
    except httpx2.InvalidURL as error:
        return f"this is no address: {error}"
    except JobError as slow:
        return slow.message
    except (httpx2.HTTPError, OSError, UnicodeError) as error:
        return str(error) or type(error).__name__
    return None if answer.is_success else f"it answered {answer.status_code}: {answer.text[:300]}"
