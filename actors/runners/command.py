"""Run a command-line program as an agent: an argument list filled from the parameters, never a shell.

    argv: [claude, -p, --output-format, json, --, "{{parameter.task}}"]

A placeholder is a whole element and stays one: `{{parameters}}` (all of them as JSON),
`{{parameter.NAME}}`, `{{instructions}}`, `{{workspace}}`, `{{job_id}}`. A value that begins with `-`
is taken only after a `--` in the template, so that nobody can pass an option.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from actors.runners.base import JSON, Context, Health, Work
from actors.runners.box import Ending, run_boxed
from actors.runners.collect import collecting
from actors.runners.environment import asked_for, environment, search_path
from actors.runners.feedback import with_feedback
from actors.runners.order import Limits, find_program
from actors.runners.output import clean_block, last_json_object
from app.errors import PermanentError, TemporaryError

ROOT = Path(__file__).resolve().parents[2]

PLACEHOLDER = re.compile(r"\{\{\s*([a-z_]+)(?:\.([^{}\s]+))?\s*\}\}")
PARSES = ("auto", "json", "text")
STDINS = ("none", "json")


class CommandRunner:
    """Runs `config.argv`.

    `config`: argv, env, secrets (environment.py), stdin (`none`, `json`: the parameters), parse
    (`auto`, `json`, `text`), ok_exit_codes ([0]), permanent_exit_codes ([]), max_output_mb, install
    (how to install the program, for people), own_path (the program is Callboard's: PYTHONPATH leads to it).
    """

    name = "command"

    def run(self, work: Work, context: Context) -> JSON:
        """Answer the last JSON object the program printed, or `{"result": its text}`; with `exit_code`."""
        config = work.config
        check(config)
        with collecting(context):
            ending = run_boxed(
                argv_for(work, context),
                context=context,
                cwd=context.workspace,
                env=environment(work, context.workspace) | own_path(config),
                limits=limits_of(work),
                stdin=stdin_for(work),
            )
            judge(ending, config)
        return {"exit_code": ending.exit_code} | result_of(ending, config.get("parse", "auto"))

    def health(self, config: JSON) -> Health:
        """`ready` if the definition is sound and the program is on the worker's PATH."""
        try:
            check(config)
            find_program(config["argv"][0], search_path())
            asked_for(config, "env")
            asked_for(config, "secrets")
        except PermanentError as error:
            hint = config.get("install")
            return Health("unavailable", f"{error.message} {hint}" if hint else error.message)
        return Health()


def check(config: JSON) -> None:
    """Raise PermanentError if the agent's definition cannot work whatever the parameters are."""
    argv = config.get("argv")
    if not isinstance(argv, list) or not argv or not all(isinstance(element, str) for element in argv):
        raise PermanentError("The agent's `argv` must be a list of texts that begins with a program.")
    if PLACEHOLDER.search(argv[0]):
        raise PermanentError("The program of an agent cannot come from a parameter.")
    for element in argv:
        if "{{" in element and not PLACEHOLDER.fullmatch(element):
            raise PermanentError(f"A placeholder must be a whole element of `argv`, unlike in `{element}`.")
    for key, known in (("parse", PARSES), ("stdin", STDINS)):
        if config.get(key, known[0]) not in known:
            raise PermanentError(f"`{key}` must be one of {', '.join(known)}.")


def argv_for(work: Work, context: Context) -> list[str]:
    """The template with every placeholder replaced; raises PermanentError for what does not fit."""
    template: Sequence[str] = work.config["argv"]
    values: Mapping[str, Callable[[str], str]] = {
        "parameters": lambda _: _json(work.parameters),
        "parameter": lambda name: parameter(work.parameters, name),
        "instructions": lambda _: str(work.config.get("instructions", "")),
        "workspace": lambda _: str(context.workspace),
        "job_id": lambda _: work.job_id,
    }
    return [filled(element, values, "--" in template[:at]) for at, element in enumerate(template)]


def filled(element: str, values: Mapping[str, Callable[[str], str]], after_dashes: bool) -> str:
    """One element of a template with its placeholder replaced by what `values` has for it."""
    match = PLACEHOLDER.fullmatch(element)
    if match is None:
        return element
    kind, name = match.groups()
    if kind not in values:
        raise PermanentError(f"`{element}` is no placeholder of an `argv`.")
    value = values[kind](name or "")
    if kind == "parameter" and value.startswith("-") and not after_dashes:
        message = f"`{name}` must not begin with `-`: the program would take it for an option."
        raise PermanentError(message, user_error=True, details={"field": f"/parameters/{name}"})
    return value


def stdin_for(work: Work) -> bytes:
    """The parameters as JSON in ASCII if the program reads them, else nothing; with what was wrong with the draft before."""
    return json.dumps(with_feedback(work)).encode() if work.config.get("stdin") == "json" else b""


def parameter(parameters: JSON, name: str) -> str:
    """One parameter as text: text as it is, null as nothing, everything else as JSON."""
    if name not in parameters:
        details: dict[str, object] = {"field": f"/parameters/{name}"}
        raise PermanentError(f"`{name}` is missing.", user_error=True, details=details)
    value = parameters[name]
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def own_path(config: JSON) -> dict[str, str]:
    """Where Python finds Callboard itself, for programs that are part of it."""
    return {"PYTHONPATH": str(ROOT)} if config.get("own_path") else {}


def limits_of(work: Work) -> Limits:
    """What the program may use."""
    return Limits(
        timeout_seconds=work.timeout_seconds,
        memory_mb=work.memory_mb,
        output_bytes=int(work.config.get("max_output_mb", 64)) << 20,
    )


def judge(ending: Ending, config: JSON) -> None:
    """Raise for an exit code that means failure: temporary, unless the definition calls it permanent."""
    code = ending.exit_code
    if code in config.get("ok_exit_codes", (0,)):
        return
    last_words = (ending.stderr.strip() or clean_block(ending.stdout[-4000:]).strip()).rpartition("\n")[2]
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    message = f"The program {how}: {last_words[:500]}" if last_words else f"The program {how}."
    kind = PermanentError if code in config.get("permanent_exit_codes", ()) else TemporaryError
    raise kind(message, details={"exit_code": code, "stderr": ending.stderr, "stdout": ending.stdout[-2000:]})


def result_of(ending: Ending, parse: str) -> JSON:
    """What the program answered, read from its standard output."""
    found = None if parse == "text" else last_json_object(ending.stdout)
    if found is not None:
        return found
    if parse == "json":
        raise TemporaryError("The program printed no JSON object.", details={"stdout": ending.stdout[-2000:]})
    text: JSON = {"result": clean_block(ending.stdout).strip()}
    return text | {"truncated": True} if ending.stdout_cut else text


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
