"""What is to be submitted, from what was typed: parameters as the agent's schema wants them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
import yaml

from app.cli.naming import named

JSON = dict[str, Any]


def parameters(
    agent_id: str, schema: JSON, text: str | None, given: tuple[str, ...], file: str | None
) -> JSON:
    """The parameters from a file, from NAME=VALUE, and from a text for the one text parameter.

    A text is `-` (read standard input) or what stands on the command line; if nothing is given at all, standard input
    is read where it is no terminal and the agent takes one text.
    """
    rules = schema.get("properties", {})
    found = (from_file(file) if file else {}) | named("--param", given, rules)
    wanted = text if text is not None else "-" if _is_piped(schema) and not found else None
    if wanted is None:
        return found
    said = sys.stdin.read().strip() if wanted == "-" else wanted
    return found | ({_text_parameter(agent_id, schema): said} if said else {})


def _is_piped(schema: JSON) -> bool:
    return _name_of_text(schema) is not None and not sys.stdin.isatty()


def _text_parameter(agent_id: str, schema: JSON) -> str:
    name = _name_of_text(schema)
    if name is None:
        known = ", ".join(schema.get("properties", {})) or "none"
        raise click.UsageError(
            f"{agent_id} does not take one text; say --param NAME=VALUE (it knows: {known})."
        )
    return name


def _name_of_text(schema: JSON) -> str | None:
    """The one text that an agent asks for: its only required text, else its only one."""
    texts = [
        name
        for name, rule in schema.get("properties", {}).items()
        if isinstance(rule, dict) and rule.get("type") == "string" and "enum" not in rule
    ]
    required = [name for name in texts if name in schema.get("required", ())]
    for names in (required, texts):
        if names:
            return names[0] if len(names) == 1 else None
    return None


def from_file(file: str) -> JSON:
    """The names and values in a JSON or YAML file; `-` is standard input."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        read = yaml.safe_load(text)  # JSON is YAML too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as wrong:
        raise click.UsageError(f"--params {file} cannot be read: {wrong}") from wrong
    if not isinstance(read, dict):
        raise click.UsageError(f"--params {file} must hold names and values.")
    return json_only(read)


def json_only(read: JSON) -> JSON:
    """Dates and the like as text, because JSON knows none."""
    plain: JSON = json.loads(json.dumps(read, default=str))
    return plain
