from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actors.builtin import tracebacks
from actors.builtin.known_errors import KNOWN
from app.errors import PermanentError
from tests.actors.builtin.desk import Desk, definition

AGENT = "debugger"
SHOP = """\
PRICES = {"tea": 2}


def price(name, rates):
    found = rates.get(name)
    return found["net"] * 2


def total(names):
    try:
        return sum(PRICES[name] for name in names)
    except KeyError as error:
        return price(str(error), {})


if __name__ == "__main__":
    total(["tea", "rum"])
"""


def _crashed(folder: Path) -> str:
    """The real traceback of running shop.py."""
    done = subprocess.run(
        [sys.executable, str(folder / "shop.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr


def test_the_example_shows_the_line_and_what_it_uses(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert result["place"] == "ferry/seats.py:12"
    assert result["suspects"] == ["`seat`, given to row_of() by its caller"]
    assert '>    12      if seat[-1] not in "ABCD":' in result["report"]


def test_a_real_crash_is_read_with_what_caused_it_and_who_changed_the_line(desk: Desk) -> None:
    desk.write({"app/shop.py": SHOP.replace("* 2", "* 3")})
    desk.commit("A shop", folder="app")
    desk.write({"app/shop.py": SHOP})
    desk.commit("Double the price", folder="app")

    result = desk.run(AGENT, task="It crashes", error=_crashed(desk.root / "app"), repo="app")

    assert (result["error"], result["place"]) == ("TypeError", "shop.py:6")
    assert result["caused_by"] == [{"error": "KeyError", "message": "'rum'"}]
    assert result["suspects"] == ["`found`, set in line 5"]
    assert "is None" in result["cause"]
    assert "line 6 last changed by" in result["history"][0]
    assert "Double the price" in result["history"][0]
    assert any("A shop" in entry for entry in result["history"])
    assert any("shop.py:13" in step for step in result["next_steps"])


def test_without_a_history_the_code_is_shown_all_the_same(desk: Desk) -> None:
    desk.write({"app/shop.py": SHOP})
    result = desk.run(AGENT, task=_crashed(desk.root / "app"), repo="app")
    assert (result["place"], result["history"]) == ("shop.py:6", [])


@pytest.mark.parametrize(
    ("text", "language", "error", "last"),
    [
        (
            (
                "TypeError: Cannot read properties of undefined (reading 'id')\n"
                "    at load (/srv/web/src/cart.js:12:15)\n    at async main (file:///srv/web/src/index.js:3:1)\n"
                "    at node:internal/main:1:1\n"
            ),
            "javascript",
            "TypeError",
            ("/srv/web/src/cart.js", 12),
        ),
        (
            (
                'Exception in thread "main" java.lang.RuntimeException: no tide\n'
                "\tat com.harbor.Main.run(Main.java:40)\n"
                "Caused by: java.lang.NullPointerException: tide is null\n"
                "\tat com.harbor.Tide.at(Tide.java:7)\n\tat com.harbor.Main.run(Main.java:38)\n\t... 2 more\n"
            ),
            "java",
            "java.lang.RuntimeException",
            ("Main.java", 40),
        ),
        (
            "    def test_it():\n>       f()\n\ntests/test_a.py:5: \n_ _ _\nE       KeyError: 'x'\n\nsrc/a.py:9: KeyError\n",
            "python",
            "KeyError",
            ("src/a.py", 9),
        ),
        (
            (
                'Traceback (most recent call last):\n  File "/a.py", line 1, in <module>\n    f()\n    ^^^\n'
                "app.errors.Full: no berth\n"
            ),
            "python",
            "app.errors.Full",
            ("/a.py", 1),
        ),
    ],
)
def test_tracebacks_of_three_languages_are_read(
    text: str, language: str, error: str, last: tuple[str, int]
) -> None:
    problem = tracebacks.problems("2026-11-22 ERROR something\n" + text)[-1]
    assert (problem.language, problem.error) == (language, error)
    assert (problem.frames[-1].path, problem.frames[-1].line) == last


def test_frames_are_found_by_the_end_of_their_path_and_libraries_left_out(desk: Desk) -> None:
    desk.write(
        {
            "web/src/cart.js": "x\n" * 20,
            "web/other/cart.js": "y\n",
            "web/java/com/harbor/Tide.java": "class Tide {\n}\n" * 9,
        }
    )
    script = desk.run(
        AGENT,
        task="Error: no\n    at f (/app/src/cart.js:12:1)\n    at g (/x/node_modules/y/cart.js:1:1)",
        repo="web",
    )
    assert script["place"] == "src/cart.js:12"
    assert [frame["library"] for frame in script["frames"]] == [True, False]

    java = desk.run(
        AGENT, task="java.lang.IllegalStateException: x\n\tat com.harbor.Tide.at(Tide.java:7)", repo="web"
    )
    assert java["place"] == "java/com/harbor/Tide.java:7"

    unclear = desk.run(AGENT, task="Error: no\n    at f (/elsewhere/cart.js:2:1)", repo="web")
    assert unclear["place"] is None


def test_without_a_traceback_the_words_of_the_task_are_looked_for(desk: Desk) -> None:
    desk.write({"app/shop.py": SHOP})
    result = desk.run(AGENT, task="PRICES are wrong since yesterday", repo="app", context="Shop 2")

    assert not result["found"]
    assert result["mentions"][0] == {
        "word": "PRICES",
        "path": "shop.py",
        "line": 1,
        "code": 'PRICES = {"tea": 2}',
    }
    assert "whole traceback" in result["next_steps"][0]
    assert "Shop 2" in result["report"]


def test_without_a_repository_it_says_what_the_error_usually_means(desk: Desk) -> None:
    result = desk.run(AGENT, task="ModuleNotFoundError: No module named 'tides'")
    assert "not installed" in result["cause"]
    assert "Name the `repo`" in " ".join(result["next_steps"])

    with pytest.raises(PermanentError, match="outside the folders"):
        desk.run(AGENT, task="x", repo="/etc")


def test_every_known_error_can_be_reached() -> None:
    """An entry with a message stands before the one of the same name without."""
    for at, entry in enumerate(KNOWN):
        earlier = [each for each in KNOWN[:at] if each.error == entry.error and not each.message]
        assert not earlier, entry


def test_markup_in_a_traceback_is_harmless_in_the_report(desk: Desk) -> None:
    text = 'Traceback (most recent call last):\n  File "<b>.py", line 1, in <img>\nValueError: <script>alert(1)</script> | x\n'
    assert "<script>" not in desk.run(AGENT, task=text)["report"]


@pytest.mark.parametrize(
    "bomb",
    [
        "at " * 30_000,
        'File "' * 16_000,
        "a.b" * 30_000,
        "E " * 50_000,
        "Error: " * 14_000,
        "    at f (" + "(" * 90_000,
        "\n".join(['  File "/a.py", line 1, in f'] * 3_000),
    ],
)
def test_hostile_text_is_read_in_bounded_time(desk: Desk, bomb: str) -> None:
    desk.run(AGENT, task=bomb[:100_000])
    assert desk.context.remaining_seconds > 100
