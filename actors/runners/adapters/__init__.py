"""One file for each CLI: how it is started, and how its stream is read."""

from __future__ import annotations

from actors.runners.adapters.base import Adapter
from actors.runners.adapters.claude import Claude
from actors.runners.adapters.codex import Codex
from actors.runners.adapters.gemini import Gemini
from actors.runners.adapters.generic import Generic
from app.errors import PermanentError

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (Claude(), Codex(), Gemini(), Generic())}


def named(name: object) -> Adapter:
    """The adapter called `name`; raises PermanentError if there is none."""
    found = ADAPTERS.get(str(name))
    if found is None:
        raise PermanentError(f"There is no CLI adapter `{name}`; choose from {', '.join(ADAPTERS)}.")
    return found
