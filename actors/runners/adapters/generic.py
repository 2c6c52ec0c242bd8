"""Any other CLI: an argument list from a template, text or JSON lines as output, the exit code as its verdict.

For example `argv: [goose, run, --no-session, -i, "-"]` with `output: text` (or `jsonl`) and `stdin: prompt` (or
`none`, where the prompt is an argument).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from actors.runners.adapters.base import Adapter, Order, Reader
from actors.runners.adapters.heard import Final, Heard, Noise, Other, Session, Spent, Text
from actors.runners.base import JSON
from actors.runners.command import filled, parameter
from actors.runners.output import clean_block, last_json_object
from app.errors import PermanentError

LONGEST_TEXT = 200_000
SAYING = ("text", "content", "message", "response", "result")
COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class GenericReader(Reader):
    """Reads text, or JSON lines of no particular kind: what looks like text, usage or a session id is taken."""

    def __init__(self, order: Order, counters: JSON | None = None) -> None:
        """Nothing was heard yet."""
        super().__init__(order, counters)
        self.lines: deque[str] = deque()
        self.chars = 0
        self.last_text = ""
        self.last_error = ""
        self.session_id = ""
        self.spent_until_now = Spent(model=order.model or "")

    def read(self, line: str) -> Iterable[Heard]:
        """What `line` says."""
        self._remember(line[-LONGEST_TEXT:])
        event = last_json_object(line) if self.order.config.get("output") == "jsonl" else None
        if event is None:
            return [Noise(line)] if line.strip() else []
        return list(self._event(event)) or [Other("event")]

    def _remember(self, line: str) -> None:
        """The end of it all, whole lines."""
        self.lines.append(line)
        self.chars += len(line) + 1
        while self.chars > LONGEST_TEXT and len(self.lines) > 1:
            self.chars -= len(self.lines.popleft()) + 1

    def _event(self, event: JSON) -> Iterator[Heard]:
        session_id = event.get("session_id") or event.get("sessionId")
        if isinstance(session_id, str) and session_id != self.session_id:
            self.session_id = session_id
            yield Session(session_id=session_id, model=self.order.model)
        said = next((event[key] for key in SAYING if isinstance(event.get(key), str)), "")
        if said.strip():
            self.last_text = said
            yield Text(said)
        if isinstance(event.get("usage"), dict):
            yield self._add(event["usage"])

    def _add(self, usage: JSON) -> Spent:
        """The sum of all usage that was told; each event counts for itself."""
        until = self.spent_until_now
        amounts = {
            name: getattr(until, name) + int(usage[name])
            for name in COUNTS
            if isinstance(usage.get(name), (int, float)) and usage[name] >= 0
        }
        cost = usage.get("cost_usd")
        if isinstance(cost, (int, float)) and cost >= 0:
            self.spent_until_now = replace(
                until, cost_usd=(until.cost_usd or Decimal(0)) + Decimal(str(cost))
            )
        self.spent_until_now = replace(self.spent_until_now, **amounts, reported=True)
        return self.spent_until_now

    def read_error(self, line: str) -> Iterable[Heard]:
        """Standard error is for people; its last line explains a failure."""
        self.last_error = line.strip() or self.last_error
        return super().read_error(line)

    def end(self, exit_code: int) -> Iterable[Heard]:
        """The exit code is the verdict."""
        everything = "\n".join(self.lines)
        whole = clean_block(everything).strip()
        ok = exit_code in self.order.config.get("ok_exit_codes", (0,))
        reason = f"exit code {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"
        self.final = Final(
            ok=ok,
            text=(self.last_text or whole) if ok else (self.last_error or whole[-500:]),
            structured=last_json_object(everything) if ok else None,
            reason=reason,
        )
        return [self.final]


class Generic(Adapter):
    """Any CLI that a definition describes by `argv`."""

    name: ClassVar[str] = "generic"
    title: ClassVar[str] = "The CLI"
    resumes: ClassVar[bool] = False
    judges_exit_code: ClassVar[bool] = True
    reader: ClassVar[type[Reader]] = GenericReader

    def argv(self, order: Order) -> list[str]:
        """The template, filled; the rules are those of the command runner."""
        values: Mapping[str, Callable[[str], str]] = {
            "prompt": lambda _: order.prompt,
            "instructions": lambda _: order.instructions,
            "model": lambda _: order.model or "",
            "workspace": lambda _: str(order.workspace),
            "parameter": lambda name: parameter(order.parameters, name),
        }
        template = [str(element) for element in order.config.get("argv") or ()]
        if not template or "{{" in template[0]:
            raise PermanentError("The agent's `cli.argv` must be a list that begins with a program.")
        named = [filled(element, values, "--" in template[:at]) for at, element in enumerate(template)]
        return named + order.extra

    def stdin(self, order: Order) -> str:
        """Instructions and task, unless the template takes the prompt as an argument."""
        return "" if order.config.get("stdin") == "none" else order.whole_prompt
