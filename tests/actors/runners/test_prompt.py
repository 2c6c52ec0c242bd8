"""Prompts: templates without logic, or the parameters as sections."""

from __future__ import annotations

import pytest

from actors.runners.prompt import prompt_for
from app.errors import PermanentError


def test_placeholders_are_replaced_once() -> None:
    parameters = {"task": "{{parameter.other}}", "other": "no", "n": 2, "none": None}

    told = prompt_for(
        "{{parameter.task}}|{{ parameter.n }}|{{parameter.none}}|{{parameter.missing}}", parameters
    )

    assert told == "{{parameter.other}}|2||"


def test_all_parameters_as_json() -> None:
    assert prompt_for("{{parameters}}", {"a": "ü"}) == '{\n  "a": "ü"\n}'


def test_without_a_template_the_task_comes_first_and_the_rest_is_named() -> None:
    told = prompt_for(None, {"context": "A shop.", "task": "Mend it.", "empty": "", "max_items": 3})

    assert told == "Mend it.\n\n## Context\n\nA shop.\n\n## Max items\n\n3"


@pytest.mark.parametrize("template", ["{{secret.KEY}}", "{{parameter.a b}}", "{{ }}"])
def test_other_placeholders_are_the_definitions_mistake(template: str) -> None:
    with pytest.raises(PermanentError, match="no placeholder"):
        prompt_for(template, {})
