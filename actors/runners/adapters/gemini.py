"""Gemini CLI: `gemini -o stream-json`, the prompt on standard input.

Known to fit 0.61.0. What is odd: an API error's status comes back as exit code, cut to eight bits; the status in
`result` is buried in a text; on TERM it ends with exit code 0 and no result; how often it tries again is a setting
in a file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import ClassVar

from actors.runners.adapters.base import Adapter, Order, Reader, shortened, summary_of
from actors.runners.adapters.heard import (
    Final,
    Heard,
    Other,
    ProviderRetry,
    Session,
    Spent,
    Text,
    ToolEnded,
    ToolStarted,
)
from actors.runners.base import JSON
from actors.runners.output import last_json_object

CODE = re.compile(r'"code":\s*(\d{3})\b')
RETRYING = re.compile(r"^Attempt \d+ failed")
EXITS = {41: 401, 145: 401, 147: 403, 144: 400, 173: 429, 244: 500, 247: 503}
LIMITS = {53: "error_max_turns"}
LONGEST_TEXT = 1_000_000


class GeminiReader(Reader):
    """Reads `stream-json`."""

    def __init__(self, order: Order, counters: JSON | None = None) -> None:
        """Nothing was heard yet."""
        super().__init__(order, counters)
        self.said = ""
        self.errors: list[str] = []

    def on_init(self, event: JSON) -> Iterator[Heard]:
        """The beginning."""
        yield Session(session_id=event["session_id"], model=event.get("model"))

    def on_message(self, event: JSON) -> Iterator[Heard]:
        """What the model said, in pieces; our own prompt comes back too."""
        if event["role"] != "assistant":
            yield Other("prompt")
            return
        self.said = (self.said + event["content"])[-LONGEST_TEXT:]
        yield Text(event["content"], more=bool(event.get("delta")))

    def on_tool_use(self, event: JSON) -> Iterator[Heard]:
        """A tool call; what is said after it is a new message."""
        self.said = ""
        arguments = event.get("parameters") or {}
        yield ToolStarted(
            call_id=event["tool_id"],
            name=event["tool_name"],
            arguments=arguments,
            summary=summary_of(arguments),
        )

    def on_tool_result(self, event: JSON) -> Iterator[Heard]:
        """Its end."""
        said = event.get("output") or (event.get("error") or {}).get("message") or ""
        ok = event.get("status") == "success"
        yield ToolEnded(call_id=event["tool_id"], ok=ok, summary=shortened(str(said)))

    def on_error(self, event: JSON) -> Iterator[Heard]:
        """A warning, or what ends the run."""
        yield ProviderRetry(shortened(str(event.get("message")), 500), {"severity": event.get("severity")})

    def on_result(self, event: JSON) -> Iterator[Heard]:
        """The end, with the run's own figures."""
        for model, counts in ((event.get("stats") or {}).get("models") or {}).items():
            cached = int(counts.get("cached") or 0)
            yield Spent(
                model=model,
                input_tokens=max(0, int(counts.get("input_tokens") or 0) - cached),
                output_tokens=int(counts.get("output_tokens") or 0),
                cache_read_tokens=cached,
                reported=True,
            )
        ok = event.get("status") == "success"
        complaint = str((event.get("error") or {}).get("message") or "")
        wanted = ok and self.order.output_schema is not None
        yield Final(
            ok=ok,
            text=self.said if ok else complaint,
            structured=last_json_object(self.said) if wanted else None,
            status=_status(complaint),
            reason=str(event.get("status")),
        )

    def read_error(self, line: str) -> Iterable[Heard]:
        """It tells on standard error that it tries again, or why it cannot begin."""
        if RETRYING.match(line):
            return [ProviderRetry(shortened(line, 500), {"status": _status(line)})]
        if line.strip() and not line.startswith((" ", "[STARTUP]")):
            self.errors = [*self.errors[-9:], line.strip()]
        return super().read_error(line)

    def end(self, exit_code: int) -> Iterable[Heard]:
        """Without a result the exit code tells most; with one it may know the status better."""
        status, reason = EXITS.get(exit_code), LIMITS.get(exit_code, f"exit code {exit_code}")
        if self.final and not self.final.ok and self.final.status is None and status:
            return [Final(ok=False, text=self.final.text, status=status, reason=reason)]
        if self.final or not (status or exit_code in LIMITS):
            return []
        return [Final(ok=False, text=" ".join(self.errors)[-500:], status=status, reason=reason)]


def _status(said: str) -> int | None:
    found = CODE.search(said)
    return int(found[1]) if found else None


class Gemini(Adapter):
    """Gemini CLI."""

    name: ClassVar[str] = "gemini"
    title: ClassVar[str] = "Gemini CLI"
    program: ClassVar[str] = "gemini"
    provider: ClassVar[str] = "google"
    package: ClassVar[str] = "@google/gemini-cli"
    least_version: ClassVar[tuple[int, ...]] = (0, 40)
    keys: ClassVar[tuple[str, ...]] = ("GEMINI_API_KEY",)
    settings: ClassVar[tuple[str, ...]] = (
        "GOOGLE_GEMINI_BASE_URL",
        "HTTPS_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
    )
    login_variable: ClassVar[str] = "GEMINI_CLI_HOME"
    login_folder: ClassVar[str] = ""
    login_files: ClassVar[tuple[str, ...]] = (".gemini/oauth_creds.json",)
    way_in: ClassVar[str] = (
        "Set GEMINI_API_KEY for the worker, or log in as its user by starting `gemini` once."
    )
    names_sessions: ClassVar[bool] = True
    reader: ClassVar[type[Reader]] = GeminiReader
    lost_session: ClassVar[tuple[str, ...]] = (
        "Error resuming session",
        "Invalid session identifier",
        "already exists",
    )

    def argv(self, order: Order) -> list[str]:
        """The argument list; the prompt comes by standard input."""
        argv = [order.program, "-o", "stream-json", "--skip-trust"]
        argv += ["--approval-mode", str(order.config.get("permission_mode") or "auto_edit")]
        argv += ["--resume" if order.resume else "--session-id", str(order.session_id)]
        if order.model:
            argv += ["-m", order.model]
        return argv + order.extra

    def stdin(self, order: Order) -> str:
        """Instructions and task, and the schema in words: there are no options for them."""
        if order.output_schema is None:
            return order.whole_prompt
        schema = json.dumps(order.output_schema)
        return (
            f"{order.whole_prompt}\n\nAnswer with nothing but a JSON object that fits this schema:\n{schema}"
        )

    def environment(self, order: Order) -> dict[str, str]:
        """A login is used where it lies."""
        return {"GEMINI_CLI_HOME": str(order.account.folder)} if order.account.folder else {}

    def prepare(self, order: Order) -> None:
        """Its settings: the key instead of a question, one try, nothing sent home, no new version."""
        if order.account.folder:
            return
        settings: JSON = {
            "security": {"auth": {"selectedType": "gemini-api-key"}},
            "general": {"maxAttempts": 1, "enableAutoUpdate": False, "enableAutoUpdateNotification": False},
            "privacy": {"usageStatisticsEnabled": False},
            "telemetry": {"enabled": False},
        }
        if turns := order.config.get("max_turns"):
            settings["model"] = {"maxSessionTurns": int(turns)}
        folder = order.home / ".gemini"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
