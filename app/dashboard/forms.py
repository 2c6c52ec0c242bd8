"""A form made from a JSON Schema, and what was typed into it made into parameters again.

One field per property: text, textarea, number, select, checkbox, choices (a box for each), list (one item a
line) or json. What was typed is kept as typed; complaints of the schema stand beside the field they point at.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from app.errors import Invalid

PREFIX = "p."
LONG_TEXT = 1000
_LONG_NAMES = {"text", "content", "body", "notes", "prompt", "instructions", "context", "task", "description"}
_SHORT_ENDS = ("path", "file", "folder", "url", "name", "title", "_id")

JSON = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field as the template draws it."""

    name: str
    label: str
    kind: str
    value: str = ""
    """What stands in it; of a checkbox "on" or nothing."""
    required: bool = False
    hint: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: str = "any"
    placeholder: str = ""
    wrong: str = ""


def rules_of(schema: JSON) -> dict[str, JSON]:
    """What is said of each property; `true` and `false`, which a schema may be as well, say nothing."""
    return {name: _said(rule) for name, rule in schema.get("properties", {}).items()}


def _said(rule: Any) -> JSON:
    if not isinstance(rule, dict):
        return {}
    return rule if isinstance(rule.get("items", {}), dict) else rule | {"items": {}}


def fields(schema: JSON, typed: dict[str, str], wrong: dict[str, str] | None = None) -> list[Field]:
    """The fields of `schema`, required ones first, filled with what was typed."""
    required = set(schema.get("required", ()))
    rules = rules_of(schema)
    ordered = sorted(rules.items(), key=lambda item: item[0] not in required)
    return [
        _field(name, rule, name in required, typed.get(name), (wrong or {}).get(name, ""))
        for name, rule in ordered
    ]


def _field(name: str, rule: JSON, required: bool, typed: str | None, wrong: str) -> Field:
    kind = kind_of(name, rule)
    return Field(
        name=name,
        label=rule.get("title") or name.replace("_", " ").capitalize(),
        kind=kind,
        value=typed if typed is not None else as_typed(rule, rule.get("default"), kind),
        required=required,
        hint=rule.get("description", ""),
        choices=tuple(_word(choice) for choice in rule.get("enum") or rule.get("items", {}).get("enum", ())),
        minimum=rule.get("minimum"),
        maximum=rule.get("maximum"),
        step="1" if rule.get("type") == "integer" else "any",
        placeholder=_word(next(iter(rule.get("examples", ())), ""))
        if kind in {"text", "textarea", "number"}
        else "",
        wrong=wrong,
    )


def kind_of(name: str, rule: JSON) -> str:
    """Which kind of field a property gets."""
    if "enum" in rule:
        return "select"
    match rule.get("type"):
        case "boolean":
            return "checkbox"
        case "integer" | "number":
            return "number"
        case "array":
            return _kind_of_list(rule.get("items", {}))
        case "string":
            return "textarea" if _is_long(name, rule) else "text"
    return "json"


def _kind_of_list(item: JSON) -> str:
    if "enum" in item:
        return "choices"
    return "list" if item.get("type", "string") == "string" else "json"


def _is_long(name: str, rule: JSON) -> bool:
    if name.endswith(_SHORT_ENDS):
        return False
    return name in _LONG_NAMES or rule.get("maxLength", 0) >= LONG_TEXT


def as_typed(rule: JSON, value: Any, kind: str) -> str:
    """`value` as somebody would have typed it into a field of this kind."""
    if value is None:
        return ""
    if kind == "checkbox":
        return "on" if value else ""
    if kind in {"list", "choices"} and isinstance(value, list):
        return "\n".join(_word(item) for item in value)
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False)
    return _word(value) if "enum" in rule or not isinstance(value, str) else value


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def filled_with(schema: JSON, parameters: JSON) -> dict[str, str]:
    """`parameters` as typed text per field, to start a form from an example or an earlier job."""
    rules = rules_of(schema)
    return {
        name: as_typed(rules[name], value, kind_of(name, rules[name]))
        for name, value in parameters.items()
        if name in rules
    }


def typed(schema: JSON, form: MultiDict[str, str]) -> dict[str, str]:
    """What was typed, per property, several values as lines; an unticked box counts as empty."""
    return {
        name: "\n".join(form.getlist(PREFIX + name)).replace("\r\n", "\n")
        for name in schema.get("properties", {})
    }


def parameters(schema: JSON, typed: dict[str, str]) -> JSON:
    """The parameters meant by what was typed; Invalid points at fields that cannot even be read.

    Empty fields are left out, so that the schema's defaults and its `required` speak.
    """
    read: JSON = {}
    wrong: list[tuple[str, str]] = []
    for name, rule in rules_of(schema).items():
        kind, text = kind_of(name, rule), typed.get(name, "")
        if not text.strip() and kind != "checkbox" and not (kind == "choices" and "default" in rule):
            continue  # left empty; but no box ticked where some were is a choice too
        try:
            read[name] = _read(kind, rule, text)
        except ValueError as unreadable:
            wrong.append((f"/parameters/{name}", str(unreadable)))
    if wrong:
        raise Invalid("Some fields cannot be read.", wrong)
    return read


def _read(kind: str, rule: JSON, text: str) -> Any:
    match kind:
        case "checkbox":
            return bool(text)
        case "number":
            return _number(text.strip(), whole=rule.get("type") == "integer")
        case "list":
            return [line.strip() for line in text.split("\n") if line.strip()]
        case "choices":
            return [_chosen(rule["items"], line) for line in text.split("\n") if line]
        case "select":
            return _chosen(rule, text)
        case "json":
            return json_value(text)
    return text


def _chosen(rule: JSON, text: str) -> Any:
    """The value behind a choice's text; an unknown one is kept for the schema to complain about."""
    return next((choice for choice in rule["enum"] if _word(choice) == text), text)


def _number(text: str, *, whole: bool) -> int | float:
    try:
        number = float(text)
        return int(text) if whole or text.lstrip("+-").isdecimal() else number
    except (ValueError, OverflowError):
        raise ValueError("must be a whole number" if whole else "must be a number") from None


def json_value(text: str) -> Any:
    """The value of a JSON text; ValueError says where it stops being JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as wrong:
        raise ValueError(
            f"is not valid JSON (line {wrong.lineno}, column {wrong.colno}: {wrong.msg})"
        ) from None
    except RecursionError:
        raise ValueError("is nested too deep") from None


def json_object(text: str, pointer: str) -> JSON:
    """The object of a JSON text; Invalid points at `pointer` if it is none."""
    try:
        value = json_value(text)
    except ValueError as wrong:
        raise Invalid("The parameters are not valid JSON.", [(pointer, str(wrong))]) from None
    if not isinstance(value, dict):
        raise Invalid(
            "The parameters must be a JSON object.", [(pointer, 'must be an object, like {"path": "…"}')]
        )
    return value


def complaints(error: Invalid) -> dict[str, str]:
    """Each complaint by the name of its field; what belongs to no field is under ""."""
    found: dict[str, list[str]] = {}
    for pointer, message in error.fields or [("", error.message)]:
        head, *rest = pointer.removeprefix("/parameters").strip("/").split("/")
        found.setdefault(head, []).append(f"{'/'.join(rest)}: {message}" if rest else message)
    return {name: "; ".join(messages) for name, messages in found.items()}
