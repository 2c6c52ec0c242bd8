"""The tests that try some of many values in each place, with all of them in each."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from app.settings import ROOT

# Whatever takes its values from tests/turns.py.
FILES = (
    "tests/actors/test_pipeline_publishing.py",
    "tests/app/api/test_contract.py",
    "tests/app/api/test_hostile_input.py",
    "tests/app/dashboard/test_every_form.py",
    "tests/app/dashboard/test_pitfalls.py",
    "tests/app/jobs/test_lifecycle_machine.py",
    "tests/app/quality/test_properties.py",
)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("file", FILES)
def test_every_value_in_every_place(file: str) -> None:
    argv = [sys.executable, "-m", "pytest", "-n0", "-q", "--timeout=1500", file]
    env = {**os.environ, "WHOLE_PRODUCTS": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_all_of_them_are_named() -> None:
    using = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"^from tests\.turns import", path.read_text(), re.MULTILINE)
    }
    # odd.py serves test_pitfalls.py.
    assert using | {"tests/app/dashboard/test_pitfalls.py"} == set(FILES)
