"""What comes in: path, query and body, told apart by what is wrong with them.

400 it cannot be read (broken JSON, a malformed id, a filter that cannot be) · 413 too large
415 it is not JSON · 422 it is JSON, but not what the operation takes
"""

from __future__ import annotations

import json
import re
import types
from typing import Any, ClassVar, Self, TypeVar, Union, get_args, get_origin

import orjson
from flask import request
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import UnsupportedMediaType

from app.api.errors import Unreadable
from app.errors import Invalid

DEEPEST = 32
MOST_VALUES = 50_000
"""In one body; telling of a hundred thousand unknown fields would take half a second."""

LONGEST_NUMBER = 20
_MANY_DIGITS = re.compile(rb"[0-9]{19}")

Model = TypeVar("Model", bound=BaseModel)

_WORDS = {"missing": "is required", "extra_forbidden": "is not a known field"}


class Input(BaseModel):
    """A body or query: unknown fields are refused, so that a typing error is no silent default."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class FormInput(Input):
    """A body that may be sent as a form with files as well."""

    form_schema: ClassVar[dict[str, Any]] = {}
    """JSON Schema of the form, for the document."""

    @classmethod
    def of_form(cls, form: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> Self:
        """The same body from a form; raises Invalid."""
        raise NotImplementedError


def body_as(model: type[Model], *, optional: bool) -> Model | None:
    """The request's body as `model`; None for no body, where that is allowed."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaType("Compressed bodies are not accepted.")
    if request.mimetype == "multipart/form-data" and issubclass(model, FormInput):
        return model.of_form(request.form, request.files)
    raw = request.get_data(cache=False)
    if not raw:
        if optional:
            return None
        raise Unreadable("A JSON body is expected.")
    if request.mimetype != "application/json" and not request.mimetype.endswith("+json"):
        raise UnsupportedMediaType("Send the body as Content-Type: application/json.")
    _check_json(raw)
    _refuse_endless_numbers(raw)
    try:
        # Strict, and from the text: so "5" is no number, and dates and ids may still be text.
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        raise Invalid("The body does not fit.", pointers(error)) from error


def query_as(model: type[Model]) -> Model:
    """The query string as `model`; an empty value counts as not given."""
    lists = {name for name, field in model.model_fields.items() if get_origin(field.annotation) is list}
    given: dict[str, object] = {}
    for name, all_values in request.args.lists():
        values = [value for value in all_values if value != ""]
        _refuse_nul(name, *values)
        if len(values) > 1 and name not in lists:
            raise Unreadable("The query cannot be read.", [("/" + name, "is given more than once")])
        if values:
            given[name] = values if name in lists else values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise Unreadable("The query cannot be read.", pointers(error)) from error


def path_value(name: str, text: str, adapter: TypeAdapter[Any]) -> Any:
    """One part of the path as its type."""
    _refuse_nul(text)
    try:
        return adapter.validate_python(text)
    except ValidationError as error:
        raise Unreadable(f"{name} is malformed.", [("/" + name, error.errors()[0]["msg"])]) from error


def split_optional(annotation: Any) -> tuple[Any, bool]:
    """`Model | None` as (Model, True); anything else as (annotation, False)."""
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        if len(kinds) == 1 and len(get_args(annotation)) == 2:
            return kinds[0], True
    return annotation, False


def pointers(error: ValidationError) -> list[tuple[str, str]]:
    """Where pydantic found fault, as JSON pointers with a few words."""
    return [
        ("".join("/" + _escaped(part) for part in fault["loc"]), _WORDS.get(fault["type"], fault["msg"]))
        for fault in error.errors(include_url=False, include_context=False, include_input=False)[:50]
    ]


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _check_json(raw: bytes) -> None:
    try:
        value = orjson.loads(raw)  # refuses NaN, lone surrogates and bytes that are not UTF-8
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"The body is not JSON: {error}.") from error
    level: list[tuple[str, Any]] = [("", value)]
    values = 0
    for _ in range(DEEPEST):
        if not level:
            return
        values += sum(len(parent) for _, parent in level if isinstance(parent, dict | list))
        if values > MOST_VALUES:
            raise Invalid("The body holds too much.", [("", f"holds more than {MOST_VALUES:,} values")])
        level = [child for pointer, parent in level for child in _children(pointer, parent)]
    if level:
        raise Invalid("The body is nested too deeply.", [(level[0][0], f"lies deeper than {DEEPEST} levels")])


def _refuse_endless_numbers(raw: bytes) -> None:
    """Whole numbers beyond 64 bits: nobody who reads our JSON could be sure of them, and we could not write them."""
    if _MANY_DIGITS.search(raw):
        json.loads(raw, parse_int=_counted)


def _counted(digits: str) -> None:
    if len(digits) > LONGEST_NUMBER or not -(2**63) <= int(digits) < 2**64:
        raise Invalid("A number is too large.", [("", f"{digits[:30]} is beyond 64 bits: send it as text")])


def _children(pointer: str, value: Any) -> list[tuple[str, Any]]:
    """What lies inside `value`; refuses text that Postgres cannot hold on the way."""
    if isinstance(value, dict):
        for key in value:
            _refuse_nul_in_body(pointer, key)
        return [(f"{pointer}/{_escaped(key)}", inner) for key, inner in value.items()]
    if isinstance(value, list):
        return [(f"{pointer}/{index}", inner) for index, inner in enumerate(value)]
    if isinstance(value, str):
        _refuse_nul_in_body(pointer, value)
    return []


def _refuse_nul_in_body(pointer: str, text: str) -> None:
    if "\x00" in text:
        raise Invalid("Text cannot contain the NUL character.", [(pointer, "contains U+0000")])


def _refuse_nul(*texts: str) -> None:
    if any("\x00" in text for text in texts):
        raise Unreadable("Text cannot contain the NUL character.")
