from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import yaml

from app.settings import ROOT
from tests.docs import answers, blocks
from tests.docs.blocks import SHELL, Block
from tests.docs.conftest import Desk
from tests.journeys.product import API_KEY

pytestmark = pytest.mark.timeout(600)

FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN = [
    file
    for file in FILES
    if any(b.language in (*SHELL, "python") and not b.elsewhere for b in blocks.of(file))
]
# Languages that are not run: their blocks show something.
SHOWN = ("", "text", "http", "markdown", "html", "ini", "nginx", "dockerfile", "mermaid")
READ: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "yaml": lambda text: list(yaml.safe_load_all(text)),
    "toml": tomllib.loads,
}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


PRINTED = "http://127.0.0.1:8000"


def script(found: list[Block], folder: Path, desk: Desk) -> str:
    """All blocks in one shell, as somebody types them who reads the guide: what one sets, the next ones have."""
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for number, block in enumerate(found):
        file, out = folder / f".block-{number}", folder / f".block-{number}.out"
        file.write_text(re.sub(r"cb_(?:…|\.\.\.)", API_KEY, block.text).replace(PRINTED, desk.product.url))
        run = f"python -P {file}" if block.language == "python" else f". {file}"
        lines.append(f"echo {number} > {folder / '.at'}")
        if block.later:
            lines.append(f"( {run} ) > {out} 2>&1 &")
        elif block.fails != 0:
            lines += ["set +e", f"( set -e; {run} ) > {out} 2>&1", "code=$?", "set -e"]
        else:
            lines.append(f"{run} > {out} 2>&1")
        if block.fails:
            lines.append(
                f'[ "$code" -eq {block.fails} ] || {{ echo "it ended with $code" >> {out}; exit 1; }}'
            )
    return "\n".join(lines)


@pytest.mark.parametrize("file", RUN, ids=name)
def test_what_a_guide_tells_to_type_works(file: Path, desk: Desk, folder: Path) -> None:
    found = [b for b in blocks.of(file) if b.language in (*SHELL, "python") and not b.elsewhere]

    done = subprocess.run(
        ["bash", "-c", script(found, folder, desk)],
        cwd=folder,
        env=desk.for_a_guide(file.read_text()),
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=300,
    )

    at = int((folder / ".at").read_text())
    said = (folder / f".block-{at}.out").read_text()
    assert done.returncode == 0, f"{found[at]} failed with {done.returncode}:\n{found[at].text}\n{said}"
    for number, block in enumerate(found):
        if block.says:
            printed = (folder / f".block-{number}.out").read_text()
            assert block.says in printed, f"{block} does not say {block.says!r}, but:\n{printed}"
    if file.name in answers.GUIDES:
        assert answers.differences(blocks.of(file), found, folder) == []


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_is_not_run_can_be_read(file: Path, desk: Desk) -> None:
    for block in blocks.of(file):
        if block.language in SHELL and block.elsewhere:
            checked = subprocess.run(
                ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
            )
            assert checked.stderr == "", block
        elif block.language == "python" and block.elsewhere:
            compile(block.text, str(block), "exec")
        elif block.language in READ:
            READ[block.language](block.text)
        elif block.language == "sql":
            tried(block.text, desk) if not block.elsewhere else None
        else:
            assert block.language in (*SHELL, "python", *SHOWN), f"{block}: nothing reads {block.language!r}"


def tried(statement: str, desk: Desk) -> None:
    """Do it in the product's database, and take it back."""
    connection = psycopg2.connect(desk.environ["DATABASE_URL"])
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.rollback()
        connection.close()


def test_a_guide_that_is_wrong_is_noticed(desk: Desk, folder: Path) -> None:
    wrong = folder / "wrong.md"
    wrong.write_text("```bash\ncurl -sS $CALLBOARD_URL/api/v1/jobs -H 'X-API-Key: cb_wrong'\n```\n")

    with pytest.raises(AssertionError, match=r"wrong\.md:1 failed with 22"):
        test_what_a_guide_tells_to_type_works(wrong, desk, folder)
