"""Agents that only tests have: quick, slow, flaky, greedy, murderous. Their definitions are in tests/agents."""

from __future__ import annotations

import os
import signal
import threading
from decimal import Decimal
from typing import Any

from actors.runners.base import Context, Work
from app.budgets.usage import Usage
from app.errors import PermanentError, RateLimitError, TemporaryError


def noop(work: Work, context: Context) -> dict[str, Any]:
    """Do nothing, at once, in the worker's own thread."""
    return {"ok": True}


def echo(work: Work, context: Context) -> dict[str, Any]:
    """Answer the parameters, saying something on the way."""
    context.stage("echoing", "Echoing")
    context.log("echo", n=1)
    context.progress(50, "Half way")
    return {"parameters": work.parameters, "attempt": work.attempt}


def sleeper(work: Work, context: Context) -> dict[str, Any]:
    """Take `seconds`, stopping at once when asked to."""
    pause, until = threading.Event(), float(work.parameters["seconds"])
    steps = max(1, int(until / 0.05))
    for step in range(steps):
        context.checkpoint_due()
        context.progress(100 * step / steps, f"step {step} of {steps}")
        pause.wait(until / steps)
    return {"slept": until}


def stubborn(work: Work, context: Context) -> dict[str, Any]:
    """Take `seconds` and listen to nobody."""
    threading.Event().wait(float(work.parameters["seconds"]))
    return {"slept": work.parameters["seconds"]}


def flaky(work: Work, context: Context) -> dict[str, Any]:
    """Fail until the attempt is later than `failures`; `kind` says how."""
    if work.attempt <= int(work.parameters.get("failures", 0)):
        message = str(work.parameters.get("message", "flaky on purpose"))
        match work.parameters.get("kind", "temporary"):
            case "permanent":
                raise PermanentError(message)
            case "rate_limit":
                raise RateLimitError(message, retry_after=work.parameters.get("retry_after"))
            case "crash":
                raise ZeroDivisionError(message)
            case _:
                raise TemporaryError(message)
    return {"attempts": work.attempt}


def spender(work: Work, context: Context) -> dict[str, Any]:
    """Spend a cent every hundredth of a second until somebody stops it."""
    pause = threading.Event()
    for cents in range(1, 6000):
        cost = Decimal(cents) / 100
        context.meter(Usage(call_id="one", provider="toy", model="toy", output_tokens=cents, cost_usd=cost))
        context.checkpoint_due()
        pause.wait(0.01)
    return {"spent": "everything"}


def killer(work: Work, context: Context) -> dict[str, Any]:
    """Kill the worker process it runs in."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def sleepy(work: Work, context: Context) -> dict[str, Any]:
    """Say one thing, then nothing for `seconds`; with `tool` that is the time a tool call takes."""
    pause = threading.Event()
    context.partial({"so_far": "one thing"})
    context.log("dozing off")
    if work.parameters.get("tool"):
        context.tool_started("t1", "Bash", {"command": "npm test"}, "npm test")
    for _ in range(int(float(work.parameters["seconds"]) / 0.05)):
        context.checkpoint_due()
        pause.wait(0.05)
    if work.parameters.get("tool"):
        context.tool_ended("t1", summary="42 passed")
    return {"woke": True}


def circling(work: Work, context: Context) -> dict[str, Any]:
    """Read the same file `times` times, then wait to be stopped for `seconds`."""
    pause = threading.Event()
    for n in range(int(work.parameters.get("times", 6))):
        context.tool_started(f"c{n}", "Read", {"file_path": "a.txt"}, "a.txt")
        context.tool_ended(f"c{n}", summary="nothing new")
    for _ in range(int(float(work.parameters.get("seconds", 10)) / 0.05)):
        context.checkpoint_due()
        pause.wait(0.05)
    return {"read": work.parameters.get("times", 6)}


def asker(work: Work, context: Context) -> dict[str, Any]:
    """Ask what the parameter `ask` says, as often as the person asks back; answer what they said.

    What was done before each question is kept: `steps` in the result counts how often that was done.
    """
    kept = context.checkpoint()
    if "steps" not in kept:
        kept = context.checkpoint({"steps": [work.attempt], "comments": []})
    asked = dict(work.parameters["ask"])
    while True:
        answer = context.ask(key=f"round {len(kept['comments'])}", **asked)
        if answer.decision != "ask_back":
            break
        kept = context.checkpoint(kept | {"comments": [*kept["comments"], answer.comment]})
    said = {"decision": answer.decision, "answer": answer.answer, "edited": answer.edited, "by": answer.by}
    return said | {"comment": answer.comment, "attempt": work.attempt} | kept


def publisher(work: Work, context: Context) -> dict[str, Any]:
    """Ask before each effect that the parameter `effects` names, showing the parameter `shown`."""
    for effect in work.parameters.get("effects", ["publish"]):
        context.permit(effect, f"May I {effect}?", shown=work.parameters.get("shown"))
    failures = work.parameters.get("failures", 0)
    if work.attempt <= failures:
        raise TemporaryError("the web site is away")
    return {"published": True, "attempt": work.attempt}


def careless(work: Work, context: Context) -> dict[str, Any]:
    """Ask, and go on without an answer."""
    try:
        context.ask("Does anybody mind?")
    except Exception:  # noqa: BLE001 - as careless agents do
        return {"went_on": True}
    return {"went_on": False}


def buyer(work: Work, context: Context) -> dict[str, Any]:
    """Buy something for $0.40 `times` times, keeping what was bought; answer which attempt bought each."""
    bought: list[int] = context.checkpoint().get("bought", [])
    while len(bought) < work.parameters["times"]:
        cost = Decimal("0.40")
        call_id = f"call-{len(bought)}"
        context.meter(Usage(call_id=call_id, provider="toy", model="toy", output_tokens=1, cost_usd=cost))
        bought = [*bought, work.attempt]
        context.checkpoint({"bought": bought})
        context.partial({"bought": bought})
        context.checkpoint_due()
    return {"bought": bought}


def indiscreet(work: Work, context: Context) -> dict[str, Any]:
    """Tell its secrets to whoever listens, and then fail if it is told to."""
    word = work.parameters["password"]
    context.log(
        f"signing in with {word} for {work.parameters.get('text')}", password=word, nested={"word": [word]}
    )
    context.stage("signing-in", f"as {word}")
    context.progress(50, f"with {word}")
    context.event("note", f"the word is {word}")
    context.tool_started("c1", "login", {"with": word}, word)
    context.tool_ended("c1", summary=f"said {word}")
    if work.parameters.get("fail"):
        raise PermanentError(f"refused: {word}", details={"body": f"bad password {word}"})
    return {"echo": f"I used {word}", "token": work.parameters["token"], "text": work.parameters.get("text")}


def carried(work: Work, context: Context) -> dict[str, Any]:
    """Answer what a call to elsewhere would carry along, asked by a thread of the agent's own."""
    from concurrent.futures import ThreadPoolExecutor

    from app.observe import correlation

    with ThreadPoolExecutor(1) as elsewhere:
        told = elsewhere.submit(correlation.headers).result()
    assert os.environ["TRACEPARENT"] == told["traceparent"]
    return {"id": told["X-Correlation-ID"], "trace": told["traceparent"]}


def delegator(work: Work, context: Context) -> dict[str, Any]:
    """Hand out as many jobs as `to` says, wait for them, and answer what became of them."""
    if gap := work.parameters.get("stops_before"):
        raise PermanentError(str(gap))
    ids = [context.delegate(agent_id, {"text": "same"}) for agent_id in work.parameters["to"]]
    if not work.parameters.get("waits", True):
        return {"ids": ids}
    return {"ids": ids, "children": context.await_children(ids), "attempt": work.attempt}
