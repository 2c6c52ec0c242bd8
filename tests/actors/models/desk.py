"""A desk whose providers a test lists; it writes down every pass and how it was left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from actors.runners.base import ProviderSpec, Refused
from tests.model_server import Model


def spec_of(server: Model | str, name: str = "alpha", **more: Any) -> ProviderSpec:
    """A provider that is a model server of a test."""
    url = server if isinstance(server, str) else server.url
    usual: dict[str, Any] = {
        "provider_id": name,
        "title": name.capitalize(),
        "kind": "openai",
        "base_url": f"{url}/v1",
        "api_key": f"key-of-{name}",
        "model": "test-model",
        "billing": "api",
        "demo": False,
        "missing": None,
    }
    return ProviderSpec(**usual | more)


@dataclass
class RecordedPass:
    """Leave to make one call, and what was said of it."""

    provider_id: str
    tokens: int
    verdict: dict[str, Any] | None = None
    left: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.left = True

    def succeeded(self, *, input_tokens: int, output_tokens: int) -> None:
        self.verdict = {"ok": True, "input_tokens": input_tokens, "output_tokens": output_tokens}

    def failed(self, kind: str, message: str, retry_after: float | None = None) -> None:
        self.verdict = {"ok": False, "kind": kind, "message": message, "retry_after": retry_after}


@dataclass
class ListedDesk:
    """Offers `specs`; refuses those that `refusals` names."""

    specs: list[ProviderSpec]
    refusals: dict[str, Refused] = field(default_factory=dict)
    passes: list[RecordedPass] = field(default_factory=list)
    wanted: list[str] | None = None

    def chain(self, wanted: list[str] | None) -> list[ProviderSpec]:
        self.wanted = wanted
        return self.specs

    def enter(self, provider_id: str, *, tokens: int) -> RecordedPass:
        if provider_id in self.refusals:
            raise self.refusals[provider_id]
        self.passes.append(RecordedPass(provider_id, tokens))
        return self.passes[-1]

    @property
    def verdicts(self) -> list[tuple[str, str | None]]:
        """Who was asked, and what was said of it: `ok`, a kind, or None."""
        return [
            (
                each.provider_id,
                None if each.verdict is None else "ok" if each.verdict["ok"] else each.verdict["kind"],
            )
            for each in self.passes
        ]
