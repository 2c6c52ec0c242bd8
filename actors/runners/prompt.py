"""What an agent's model is told: a template with the parameters filled in, or the parameters as sections."""

from __future__ import annotations

import json
import re

from actors.runners.base import JSON
from app.errors import PermanentError

PLACEHOLDER = re.compile(r"\{\{\s*(parameters|parameter\.([^{}\s]+))\s*\}\}")
TASKS = ("task", "prompt", "request", "message")


def prompt_for(template: str | None, parameters: JSON) -> str:
    """`template` with `{{parameter.NAME}}` and `{{parameters}}` replaced; without one, `sections`.

    What a parameter holds is never read as a template. A parameter that is not there is nothing.
    """
    if not template:
        return sections(parameters)

    def value(match: re.Match[str]) -> str:
        return as_text(parameters.get(match[2])) if match[2] else as_text(parameters)

    left = re.search(r"\{\{.*?\}\}", PLACEHOLDER.sub("", template))
    if left:
        raise PermanentError(
            f"`{left[0]}` is no placeholder of a prompt; there are parameter.NAME and parameters."
        )
    return PLACEHOLDER.sub(value, template)


def sections(parameters: JSON) -> str:
    """Every parameter under a heading of its own; a task first, and without one if it stands alone."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [], {})}
    task = next((name for name in TASKS if isinstance(given.get(name), str)), None)
    parts = [str(given.pop(task))] if task else []
    parts += [
        f"## {name.replace('_', ' ').capitalize()}\n\n{as_text(value)}" for name, value in given.items()
    ]
    return "\n\n".join(parts)


def as_text(value: object) -> str:
    """Text as it is, nothing as nothing, everything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
