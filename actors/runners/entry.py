"""Find the Python function an agent names: `call: "module:function"` or `entry: name` of a plugin.

Plugins are what an administrator installed with an entry point in the group `callboard.agents`; a
function takes `(work, context)` and answers a JSON object.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, cast

from actors.runners.base import JSON, Context, Work
from app.errors import PermanentError

GROUP = "callboard.agents"

AgentFunction = Callable[[Work, Context], Any]


def load(config: JSON) -> AgentFunction:
    """The function itself; imports its module. Raises PermanentError if there is no such thing."""
    module_name, name = target(config)
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise PermanentError(f"`{module_name}:{name}` cannot be imported: {error}.") from error
    if not callable(found):
        raise PermanentError(f"`{module_name}:{name}` is not a function.")
    return cast(AgentFunction, found)


def target(config: JSON) -> tuple[str, str]:
    """Module and function; raises PermanentError if the definition names none."""
    value = _installed(config["entry"]) if config.get("entry") else config.get("call")
    module_name, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not all(part.isidentifier() for part in (*module_name.split("."), *name.split("."))):
        raise PermanentError("The agent must name its function as `call: module:function` or `entry: name`.")
    return module_name, name


def exists(module_name: str) -> bool:
    """Whether the module could be imported; imports only the packages above it."""
    try:
        return importlib.util.find_spec(module_name) is not None
    except (ImportError, ValueError):
        return False


def _installed(name: object) -> str:
    from importlib.metadata import entry_points  # 20 ms that only plugins pay

    for entry in entry_points(group=GROUP, name=str(name)):
        return entry.value.partition("[")[0].strip()
    raise PermanentError(f"No installed package offers the agent `{name}` (entry points `{GROUP}`).")
