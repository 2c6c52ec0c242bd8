"""Which values of a job are secret: what its agent's schema marks so is never shown, only that it is there.

How they are kept in the database is in app/secrets/sealing.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

from app.agents import registry
from app.errors import Invalid, NotFound
from app.secrets import sealing

MASK = "••••"
DEEPEST = 24

JSON = dict[str, Any]


def hidden(schema: JSON | None, value: Any) -> Any:
    """`value` with a mask in the place of everything that `schema` marks as secret, and of everything sealed.

    The marks are `writeOnly: true`, `format: password` and `x-secret: true`, on the value itself or on what it is in;
    references within the schema and its allOf, anyOf and oneOf are followed.
    """
    where = {*places(schema, value), *sealing.places(value)}
    return masked(value, where)


def places(schema: JSON | None, value: Any) -> Iterator[str]:
    """The JSON pointers of everything in `value` that `schema` marks as secret; null is nobody's secret."""
    if schema:
        yield from _marked(schema, [schema], value, "", 0)


def masked(value: Any, where: Collection[str]) -> Any:
    """`value` with masks at some JSON pointers."""
    return _masked(value, where, "") if where else value


def texts_at(value: Any, where: Collection[str]) -> Iterator[str]:
    """The texts that stand at some JSON pointers, or somewhere inside of what stands there."""
    for pointer, inner in _leaves(value, ""):
        if isinstance(inner, str) and any(pointer == at or pointer.startswith(f"{at}/") for at in where):
            yield inner


def _leaves(value: Any, pointer: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{pointer}/{sealing.escaped(name)}")
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _leaves(inner, f"{pointer}/{at}")
    else:
        yield pointer, value


def _masked(value: Any, where: Collection[str], pointer: str) -> Any:
    if pointer in where:
        return MASK
    if isinstance(value, dict):
        return {k: _masked(v, where, f"{pointer}/{sealing.escaped(k)}") for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v, where, f"{pointer}/{n}") for n, v in enumerate(value)]
    return value


def restored(value: Any, before: Any) -> Any:
    """`value`, which somebody edited where secrets were hidden, with what was `before` in the place of each mask."""
    if value == MASK:
        return before
    if isinstance(value, dict) and isinstance(before, dict):
        return {name: restored(inner, before.get(name, inner)) for name, inner in value.items()}
    if isinstance(value, list) and isinstance(before, list) and len(value) == len(before):
        return [restored(inner, old) for inner, old in zip(value, before, strict=True)]
    return value


def is_masked(value: Any) -> bool:
    """Whether a mask stands somewhere in it: what nobody can mean as a value."""
    if isinstance(value, dict):
        return any(map(is_masked, value.values()))
    return any(map(is_masked, value)) if isinstance(value, list) else value == MASK


def names(schema: JSON | None) -> set[str]:
    """The top-level properties that are secret as a whole."""
    properties = (schema or {}).get("properties", {})
    return {name for name, rule in properties.items() if _is_marked(list(_rules(schema, rule, 0)))}


def _marked(root: Any, rules: list[Any], value: Any, pointer: str, depth: int) -> Iterator[str]:
    known = [each for rule in rules for each in _rules(root, rule, 0)]
    if value is None or not known or depth > DEEPEST:
        return
    if _is_marked(known):
        yield pointer
    elif isinstance(value, dict):
        for name, inner in value.items():
            below = [_property(rule, name) for rule in known]
            yield from _marked(root, below, inner, f"{pointer}/{sealing.escaped(name)}", depth + 1)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _marked(root, [_item(rule, at) for rule in known], inner, f"{pointer}/{at}", depth + 1)


def _is_marked(rules: list[JSON]) -> bool:
    return any(
        rule.get("writeOnly") is True or rule.get("format") == "password" or rule.get("x-secret") is True
        for rule in rules
    )


def _property(rule: JSON, name: str) -> Any:
    properties = rule.get("properties")
    if isinstance(properties, dict) and name in properties:
        return properties[name]
    return rule.get("additionalProperties")


def _item(rule: JSON, at: int) -> Any:
    first = rule.get("prefixItems")
    if isinstance(first, list) and at < len(first):
        return first[at]
    return rule.get("items")


def _rules(root: Any, rule: Any, depth: int) -> Iterator[JSON]:
    """A rule and all that it refers to or is put together from."""
    if not isinstance(rule, dict) or depth > DEEPEST:
        return
    yield rule
    reference = rule.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _rules(root, _at(root, reference), depth + 1)
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in rule.get(keyword) or ():
            yield from _rules(root, part, depth + 1)


def _at(root: Any, reference: str) -> Any:
    """What a reference within the schema points at; None for nothing."""
    found = root
    for part in reference.lstrip("#").strip("/").split("/"):
        if part and isinstance(found, dict):
            found = found.get(part.replace("~1", "/").replace("~0", "~"))
    return found


def schemas(agent_id: str, version: str | None) -> tuple[JSON | None, JSON | None]:
    """The schemas of parameters and result by which a job runs; of the present definition where the old one is gone."""
    try:
        return _pinned(agent_id, version or "")
    except (NotFound, Invalid):
        pass
    try:
        agent = registry.get(agent_id)
    except NotFound:
        return None, None
    return agent.schema, agent.output_schema


def parameters(agent_id: str | None, version: str | None, value: Any) -> Any:
    """Parameters of a job of an agent, masked by the schema that holds for it; as they are where nobody knows one."""
    schema, _ = schemas(agent_id, version) if agent_id else (None, None)
    return hidden(schema, value)


def demand_known(value: Any, pointer: str = "/parameters") -> None:
    """Refuse a mask that hides nothing known: Invalid, with the way out."""
    if is_masked(value):
        why = f"{MASK} hides a secret that is not known here; type it anew"
        raise Invalid(f"A secret is missing: {why}.", [(pointer, why)])


@lru_cache(maxsize=256)
def _pinned(agent_id: str, version: str) -> tuple[JSON | None, JSON | None]:
    ours = registry.definition_of(agent_id, version).ours
    return ours.parameters, ours.output
