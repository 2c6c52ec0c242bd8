"""What a CLI says while it runs, told to the job: its story, its log, its meter, its transcript."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal

from actors.runners.adapters.base import Adapter, Order, Reader, shortened
from actors.runners.adapters.heard import (
    Final,
    Heard,
    Noise,
    ProviderRetry,
    Session,
    Spent,
    Text,
    ToolEnded,
    ToolStarted,
)
from actors.runners.base import JSON, Context
from actors.runners.environment import hide
from actors.runners.output import OutputLog, clean_block
from app.budgets.usage import Usage

TRANSCRIPT_BYTES = 10_000_000
TEXT_CHARS = 8_000
LONG_LINE_CHARS = 1_000_000
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class Transcript:
    """The raw stream in a file, up to a size; pieces of what comes whole later are left out."""

    def __init__(self, path: Path, most_bytes: int = TRANSCRIPT_BYTES) -> None:
        """Go on where an earlier attempt on this machine stopped."""
        self.path = path
        self.file: IO[bytes] = path.open("ab")
        self.left = most_bytes - self.file.tell()

    def add(self, line: str) -> None:
        """One line of the stream."""
        if self.left <= 0 or '"content_block_delta"' in line[:100]:
            return
        data = line.encode("utf-8", "replace") + b"\n"
        self.left -= len(data)
        if self.left <= 0:
            data = b'{"type":"callboard","note":"the rest was too long to be kept"}\n'
        self.file.write(data)
        self.file.flush()

    def note(self, **facts: object) -> None:
        """A line of our own, such as where an attempt begins."""
        self.add(json.dumps({"type": "callboard"} | facts))

    def keep(self, context: Context) -> None:
        """Close it and keep it with the job."""
        self.file.close()
        if self.path.stat().st_size:
            context.artifact("transcript.jsonl", self.path, "application/x-ndjson")


class Story:
    """Hears both streams of one run; call it as an OnLine, and `close` it whatever happens."""

    def __init__(
        self,
        context: Context,
        adapter: Adapter,
        order: Order,
        reader: Reader,
        *,
        transcript: Transcript,
        run_id: str,
        on_session: Callable[[str], None],
    ) -> None:
        """`run_id` tells this run's model calls from others'; `on_session` hears when a session has begun."""
        self.context, self.adapter, self.order, self.reader = context, adapter, order, reader
        self.transcript, self.run_id, self.on_session = transcript, run_id, on_session
        self.log = OutputLog(context)
        self.session_id: str | None = None
        self.model: str | None = order.model
        self.final: Final | None = None
        self.spent: dict[str, Spent] = {}
        self.turns = 0
        self.last_text = ""
        self._saying = ""
        self._model_is_next = True
        self._open_calls: dict[str, str] = {}
        self._tell: dict[type, Callable[[Any], None]] = {
            Session: self._session,
            Text: self._text,
            ToolStarted: self._tool_started,
            ToolEnded: self._tool_ended,
            ProviderRetry: self._provider,
            Spent: self._spent,
            Final: self._final,
            Noise: self._noise,
        }

    def __call__(self, stream: str, line: str) -> None:
        """Hear one line."""
        line = hide(line, self.order.account.secrets)
        if stream == "stdout":
            self.transcript.add(line)
            self.hear(self.reader.read(line))
            return
        for heard in self.reader.read_error(line):
            if isinstance(heard, Noise):
                self.log("stderr", heard.text)
            else:
                self.hear([heard])

    def hear(self, heard: Iterable[Heard]) -> None:
        """Tell the job."""
        for said in heard:
            if not isinstance(said, (Text, Spent, Noise)):
                self._flush()
            if tell := self._tell.get(type(said)):
                tell(said)

    def close(self) -> None:
        """Tell what is left to tell: calls that were cut off, figures that are final now, who paid for nothing heard."""
        self._flush()
        for call_id in list(self._open_calls):
            self._tool_ended(ToolEnded(call_id=call_id, ok=False, summary="cut off"))
        self._read_record()
        for spent in self.spent.values():
            self._meter(spent, final=True)
        if not self.spent and not self.final and self.session_id is not None:
            self.context.meter(self._usage(Spent(model=self.model or "unknown"), "unaccounted", final=True))

    def _read_record(self) -> None:
        """What the CLI wrote down and did not say: the model, and the usage of a run that was cut off."""
        with suppress(OSError):
            record = self.adapter.afterwards(self.order, self.session_id)
            self._know_model(record.model)
            totals = record.totals if self.final is None else None
            if totals and (spent := self.reader.spent(totals, self.model)):
                self.reader.counters = totals
                self.spent[spent.model] = spent
        if unnamed := self.spent.pop("", None):
            self._spent(Spent(**vars(unnamed) | {"model": self.model or "unknown"}))

    def _session(self, session: Session) -> None:
        self.session_id = session.session_id
        self.context.pin(session_id=session.session_id, provider=self.adapter.provider)
        self._know_model(session.model)
        if session.version:
            self.context.pin(cli_version=session.version)
        self.on_session(session.session_id)

    def _know_model(self, model: str | None) -> None:
        if model:
            self.model = model
            self.context.pin(model=model)

    def _text(self, text: Text) -> None:
        if not text.more:
            self._flush()
        self._saying += text.text
        if not text.more:
            self._flush()

    def _flush(self) -> None:
        """Tell a message once it is whole."""
        said, self._saying = clean_block(self._saying).strip(), ""
        said = hide(said, self.order.account.secrets)  # again: it may have come in pieces
        if not said:
            return
        self._turn()
        self.last_text = said
        kept = said if len(said) <= TEXT_CHARS else said[:TEXT_CHARS] + "…"
        self.context.event("turn", kept, turn=self.turns)
        self.context.partial(self.so_far())
        self._step(shortened(said))

    def so_far(self) -> JSON:
        """The result if it ended now."""
        return {
            "result": self.last_text,
            "session_id": self.session_id,
            "turns": self.turns,
            "model": self.model,
            "usage": self.usage(),
        }

    def _turn(self) -> None:
        """A turn begins when the model speaks, or acts, after its tools have answered."""
        if self._model_is_next:
            self.turns += 1
            self._model_is_next = False

    def _tool_started(self, call: ToolStarted) -> None:
        self._turn()
        self._open_calls[call.call_id] = call.name
        self.context.tool_started(call.call_id, call.name, call.arguments, call.summary)
        self._step(f"{call.name} {call.summary}")

    def _tool_ended(self, call: ToolEnded) -> None:
        self._model_is_next = True
        if self._open_calls.pop(call.call_id, None) is not None:
            self.context.tool_ended(call.call_id, ok=call.ok, summary=call.summary)

    def _noise(self, noise: Noise) -> None:
        """A line that is no event; a very long one is a piece of an event, of a tool's output as a rule."""
        if len(noise.text) < LONG_LINE_CHARS:
            self.log("stdout", noise.text)
            return
        self.context.log("An event was too long to be read.", level="warning", source="runner")
        for call_id in list(self._open_calls):
            self._tool_ended(
                ToolEnded(call_id=call_id, ok=True, summary="its output was too long to be read")
            )

    def _step(self, what: str) -> None:
        """The turns of those that it may take are all that is known of how far it is."""
        most = self.order.config.get("max_turns")
        percent = min(95.0, 100 * self.turns / most) if most else 0.0
        self.context.progress(percent, f"Turn {self.turns}: {what}".strip())

    def _provider(self, retry: ProviderRetry) -> None:
        self.context.event("provider", retry.message, level="warning", **retry.data)

    def _spent(self, spent: Spent) -> None:
        self.spent[spent.model] = spent
        if spent.model:
            self._meter(spent, final=False)

    def _meter(self, spent: Spent, *, final: bool) -> None:
        status: Literal["reported", "derived", "unpriced"] = "unpriced"
        if spent.cost_usd is not None:
            status = "reported"
        elif final and not spent.reported:
            status = "derived"
        self.context.meter(self._usage(spent, status, final=final))

    def _usage(
        self, spent: Spent, status: Literal["reported", "derived", "unpriced", "unaccounted"], *, final: bool
    ) -> Usage:
        amounts: dict[str, Any] = {name: getattr(spent, name) for name in TOKENS}
        return Usage(
            call_id=f"{self.run_id}:{spent.model}",
            provider=str(self.order.config.get("provider") or self.adapter.provider),
            model=spent.model,
            cost_usd=spent.cost_usd,
            cost_status=status,
            billing="subscription" if self.order.account.kind == "subscription" else "api",
            final=final,
            **amounts,
        )

    def usage(self) -> JSON:
        """What was used, in sum."""
        amounts: JSON = {name: sum(getattr(one, name) for one in self.spent.values()) for name in TOKENS}
        costs = [one.cost_usd for one in self.spent.values()]
        known = bool(costs) and all(cost is not None for cost in costs)
        total = sum((cost for cost in costs if cost is not None), Decimal(0))
        return amounts | {"cost_usd": float(total) if known else None}

    def _final(self, final: Final) -> None:
        self.final = final
        self.turns = final.turns or self.turns
        for denial in final.denials:
            tool = denial.get("tool_name", "a tool")
            self.context.event("provider", f"{tool} was not allowed", level="warning", denied=denial)
