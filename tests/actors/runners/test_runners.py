"""The table of runners."""

from __future__ import annotations

import pytest

from actors import runners
from app.errors import PermanentError


@pytest.mark.parametrize("name", ["command", "python", "http", "llm"])
def test_a_runner_is_found_by_its_name(name: str) -> None:
    assert runners.get(name).name == name
    assert runners.get(name) is runners.get(name)


def test_an_unknown_runner_names_the_known_ones() -> None:
    with pytest.raises(PermanentError, match="choose from command,"):
        runners.get("shell")
