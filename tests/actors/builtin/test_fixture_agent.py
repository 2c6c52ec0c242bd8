from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "fixture-agent"


def _made(desk: Desk, source: str, **files: str) -> dict[str, object]:
    desk.write(
        {"a/setup.py": "", "a/one.py": source, **{f"a/{name}.py": text for name, text in files.items()}}
    )
    return desk.run(AGENT, module="one", path="a")


def test_the_example_makes_fixtures_that_use_each_other_across_modules(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    made = {each["name"]: each["needs"] for each in result["fixtures"]}
    assert made == {"sailing": [], "ticket": ["sailing"], "window_seats_arguments": ["ticket"]}
    assert {each["name"] for each in result["left_out"]} == {"sell", "day_ticket"}


def test_the_conftest_serves_tests_of_the_project(desk: Desk, tmp_path: Path) -> None:
    desk.run(AGENT, module="ferry.desk", path="examples/ferry")
    (tmp_path / "conftest.py").write_bytes(desk.context.artifacts["conftest.py"])
    (tmp_path / "test_it.py").write_text(
        "import ferry.desk\n\n"
        "def test_a_ticket(ticket, sailing, window_seats_arguments):\n"
        "    assert ticket.sailing is sailing\n"
        "    assert ferry.desk.window_seats(**window_seats_arguments) == 0\n"
    )

    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(EXAMPLES / "ferry"), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    assert "1 passed" in done.stdout


def test_many_kinds_of_types_are_made(desk: Desk) -> None:
    result = _made(
        desk,
        "import enum\nfrom dataclasses import dataclass, field\nfrom datetime import date, datetime\n"
        "from decimal import Decimal\nfrom pathlib import Path\nfrom typing import Literal, NamedTuple, Optional, TypedDict\n"
        "from uuid import UUID\n\n"
        "class Colour(enum.Enum):\n    RED = 1\n\n"
        "class Point(NamedTuple):\n    x: int\n    y: int = 0\n\n"
        "class Row(TypedDict):\n    name: str\n\n"
        "@dataclass\nclass Base:\n    key: UUID\n\n"
        "@dataclass(kw_only=True)\nclass Thing(Base):\n"
        "    at: datetime\n    on: date\n    price: Decimal\n    where: Path\n    colour: Colour\n"
        "    point: Point | None\n    mode: Literal['a', 'b']\n    tags: tuple[str, ...]\n    note: Optional[str] = None\n"
        "    rows: list[Row] = field(default_factory=list)\n\n"
        "class Request:\n    def __init__(self, things: dict[str, 'Thing'], *, retries: int) -> None:\n        self.things = things\n\n"
        "def work(request: Request, numbers: list[float], by: int = 2) -> None: ...\n",
    )

    assert [each["name"] for each in result["fixtures"]] == [
        "colour", "point", "row", "base", "thing", "request_", "work_arguments",
    ]  # fmt: skip
    assert result["left_out"] == []


def test_what_cannot_be_made_is_left_out_with_what_needs_it_and_the_rest_is_proved_again(desk: Desk) -> None:
    result = _made(
        desk,
        "class Mail:\n    def __init__(self, address: str):\n"
        "        if '@' not in address:\n            raise ValueError('no address')\n\n"
        "class Letter:\n    def __init__(self, to: Mail): ...\n\n"
        "class Good:\n    def __init__(self, n: int): ...\n\n"
        "class Vague:\n    def __init__(self, n): ...\n",
    )

    assert [each["name"] for each in result["fixtures"]] == ["good"]
    reasons = {each["name"]: each["reason"] for each in result["left_out"]}
    assert reasons == {
        "Vague": "`n` has no annotation",
        "Mail": "ValueError: no address",
        "Letter": "it uses mail, which cannot be made",
    }
    assert "def mail" not in desk.context.artifacts["conftest.py"].decode()


def test_classes_that_need_each_other_are_left_out(desk: Desk) -> None:
    with pytest.raises(PermanentError, match="nothing to make a fixture of") as refused:
        _made(
            desk,
            "class A:\n    def __init__(self, b: 'B'): ...\n\nclass B:\n    def __init__(self, a: A): ...\n",
        )
    assert refused.value.user_error


def test_a_constructor_with_effects_outside_is_refused_its_effect(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "left-behind"
    result = _made(
        desk, f"class A:\n    def __init__(self, n: int):\n        open({str(target)!r}, 'w').write('x')\n"
    )

    assert not target.exists()
    assert "EffectRefused" in result["left_out"][0]["reason"]  # type: ignore[index]


def test_a_module_that_cannot_be_imported_is_said(desk: Desk) -> None:
    result = _made(desk, "import not_there\n\nclass A:\n    def __init__(self, n: int): ...\n")

    assert not result["passed"]
    assert "No module named 'not_there'" in str(result["summary"])
    assert "conftest.py" not in desk.context.artifacts
