"""The forms of a page as a browser without scripts would send them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bs4 import BeautifulSoup, Tag

Fields = dict[str, list[str]]


@dataclass(frozen=True)
class Form:
    """What one button would send."""

    page: str
    """The address it stands on."""
    action: str
    method: str
    fields: Fields
    """As they stand there, with what the button itself says; the token of the session is left out."""
    label: str
    confirm: bool
    """A question comes first."""
    danger: bool
    """It looks like something that cannot be taken back."""

    @property
    def path(self) -> str:
        """The address without its query."""
        return urlsplit(self.action).path

    def cleared(self) -> Fields:
        """The same with nothing in the fields that people fill in; what is hidden and the button stay."""
        return {name: values for name, values in self.fields.items() if name in self.fixed}

    @property
    def fixed(self) -> set[str]:
        """Names of what is sent whatever people do; set by `forms`."""
        return set(self.fields.get("\0fixed", []))

    def sent(self) -> Fields:
        """The fields as they stand there."""
        return {name: values for name, values in self.fields.items() if not name.startswith("\0")}


def forms(page: str, soup: BeautifulSoup) -> Iterator[Form]:
    """Every button of a page that sends a form; what stands in a template is not there."""
    for template in soup.select("template"):
        template.decompose()
    by_id = {str(form["id"]): form for form in reversed(soup.select("form[id]"))}
    parts: dict[int, list[Tag]] = {}
    for part in soup.select("input, select, textarea"):
        parts.setdefault(id(_form_of(by_id, part)), []).append(part)
    for button in soup.select("button, input[type=submit]"):
        if button.get("type", "submit") != "submit" or button.has_attr("disabled"):
            continue
        form = _form_of(by_id, button)
        if form is not None and form.get("method") != "dialog":
            yield _read(page, parts.get(id(form), []), form, button)


def _form_of(by_id: dict[str, Tag], part: Tag) -> Tag | None:
    named = part.get("form")
    return by_id.get(str(named)) if named else part.find_parent("form")


def _read(page: str, parts: list[Tag], form: Tag, button: Tag) -> Form:
    fields: Fields = {}
    fixed: list[str] = []
    for part in parts:
        if not part.get("name") or part["name"] == "csrf_token":
            continue
        fields.setdefault(str(part["name"]), []).extend(_values(part))
        if part.get("type") == "hidden":
            fixed.append(str(part["name"]))
    if button.get("name"):
        fields.setdefault(str(button["name"]), []).append(str(button.get("value", "")))
        fixed.append(str(button["name"]))
    return Form(
        page=page,
        action=str(button.get("formaction") or form.get("action") or page),
        method=str(button.get("formmethod") or form.get("method") or "get").upper(),
        fields=fields | {"\0fixed": fixed},
        label=" ".join(button.get_text(" ").split()),
        confirm=button.has_attr("data-confirm"),
        danger="danger" in (button.get("class") or []),
    )


def _values(part: Tag) -> list[str]:
    if part.name == "textarea":
        return [part.get_text()]
    if part.name == "select":
        options = part.select("option")
        chosen = [each for each in options if each.has_attr("selected")] or options[:1]
        return [_value_of(each) for each in chosen]
    if part.get("type") in ("checkbox", "radio"):
        return [str(part.get("value", "on"))] if part.has_attr("checked") else []
    return [] if part.get("type") in ("submit", "file") else [str(part.get("value", ""))]


def _value_of(option: Tag) -> str:
    value: Any = option.get("value")
    return str(value if value is not None else option.get_text())
