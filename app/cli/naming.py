"""NAME=VALUE as it is typed: parameters and inputs, read as their schema wants them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click


def named(option: str, given: tuple[str, ...], rules: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The values by name; `rules` are the properties of a JSON Schema, and `option` is named where one is wrong."""
    found = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not sign or not name:
            raise click.UsageError(f"{option} {each}: write NAME=VALUE")
        found[name] = _value(value, (rules or {}).get(name))
    return found


def _value(text: str, rule: Any) -> Any:
    """What was typed, as the schema wants it; JSON where it says nothing and JSON is what it looks like."""
    if isinstance(rule, dict) and rule.get("type") == "string":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
