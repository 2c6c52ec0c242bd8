"""The environment agents get: what every program needs, the job's identity, and what the agent names.

A command or CLI agent that may delegate finds there where Callboard is and its job's token (docs/delegation.md).

The one place besides app/settings.py that reads the environment: the secrets of agents are variables
of the worker whose names only the agent's definition knows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from actors.runners import feedback
from actors.runners.base import JSON, Work
from app.errors import PermanentError
from app.observe import correlation
from app.providers.keys import OWN as NEVER

HIDDEN = "(a secret)"


def environment(work: Work, workspace: Path) -> dict[str, str]:
    """All variables of a child process; HOME and TMPDIR lie in the workspace."""
    temporary = workspace / "tmp"
    temporary.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        "PATH": search_path(),
        "HOME": str(workspace),
        "TMPDIR": str(temporary),
        "LANG": "C.UTF-8",
        **asked_for(work.config, "env"),
        **asked_for(work.config, "secrets"),
        "CALLBOARD_JOB_ID": work.job_id,
        "CALLBOARD_ATTEMPT": str(work.attempt),
        "CALLBOARD_IDEMPOTENCY_KEY": work.idempotency_key,
        **feedback.variables(work, temporary),
        **correlation.environment(),
        **work.access,
    }


def hide(text: str, secrets: Iterable[str]) -> str:
    """`text` as it may be kept and shown: an agent may print its environment, and nobody should find a key there."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def search_path() -> str:
    """Where programs are looked for: first beside our own Python, where the packaged tools are."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def asked_for(config: JSON, key: str) -> dict[str, str]:
    """The variables an agent's `env` or `secrets` asks for.

    A list names variables of the worker (those that are not set are left out); a mapping carries the
    values. Raises PermanentError for Callboard's own.
    """
    wanted: Mapping[str, object] | Iterable[str] = config.get(key) or ()
    refused = NEVER.intersection(wanted)
    if refused:
        raise PermanentError(f"An agent cannot have {', '.join(sorted(refused))}; take it out of `{key}`.")
    if isinstance(wanted, Mapping):
        return {str(name): str(value) for name, value in wanted.items()}
    return {name: os.environ[name] for name in wanted if name in os.environ}
