"""What a guide says is answered: the block of `json` right behind one that is run, held against what was printed.

"…" stands for anything, also within a text; as the last entry of a list for all further ones, as a key for all others.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

from tests.docs.blocks import SHELL, Block

GUIDES = ("LLM_SESSION_API.md", "SKILL.md", "webhook-commands.md")
"""Those whose every stated answer must be the real one."""
ANY = "…"


def differences(every: list[Block], run: list[Block], folder: Path) -> list[str]:
    """Where what the blocks `run` printed (in `folder`) is not what the guide states behind them."""
    found = []
    for block, behind in itertools.pairwise(every):
        if block in run and block.language in SHELL and _states(block, behind):
            printed = (folder / f".block-{run.index(block)}.out").read_text()
            faults = differs(json.loads(behind.text), _read(printed))
            found += [f"{block}: {fault}; it printed:\n{printed}" for fault in faults]
    return found


def _states(block: Block, behind: Block) -> bool:
    """Whether nothing but an empty line is between the two."""
    end = block.line + block.text.count("\n") + 1
    return behind.language == "json" and behind.line <= end + 2


def _read(printed: str) -> Any:
    """The JSON that was printed; curl's own complaint beside it is no answer."""
    said = "\n".join(line for line in printed.splitlines() if not line.startswith("curl: ")).strip()
    try:
        return json.loads(said)
    except ValueError:
        return said


def differs(stated: Any, got: Any, at: str = "") -> list[str]:
    """Each place at which `got` is not as `stated`, as a JSON pointer with both."""
    if stated == ANY:
        return []
    if isinstance(stated, dict) and isinstance(got, dict):
        return _of_objects(stated, got, at)
    if isinstance(stated, list) and isinstance(got, list):
        return _of_lists(stated, got, at)
    if isinstance(stated, str) and isinstance(got, str):
        pattern = ".*".join(re.escape(part) for part in stated.split(ANY))
        return [] if re.fullmatch(pattern, got, re.DOTALL) else [_fault(at, stated, got)]
    return [] if type(stated) is type(got) and stated == got else [_fault(at, stated, got)]


def _of_objects(stated: dict[str, Any], got: dict[str, Any], at: str) -> list[str]:
    named = set(stated) - {ANY}
    faults = [f"{at}/{name} is not there" for name in sorted(named - set(got))]
    if ANY not in stated:
        faults += [f"{at}/{name} is not stated" for name in sorted(set(got) - named)]
    for name in sorted(named & set(got)):
        faults += differs(stated[name], got[name], f"{at}/{name}")
    return faults


def _of_lists(stated: list[Any], got: list[Any], at: str) -> list[str]:
    if stated and stated[-1] == ANY and len(stated) > 1:
        stated, got = stated[:-1], got[: len(stated) - 1]
    if len(stated) != len(got):
        return [f"{at}: {len(stated)} are stated, and there are {len(got)}"]
    pairs = enumerate(zip(stated, got, strict=True))
    return [fault for n, (one, other) in pairs for fault in differs(one, other, f"{at}/{n}")]


def _fault(at: str, stated: Any, got: Any) -> str:
    return f"{at or '/'} is {json.dumps(got)[:200]} and not {json.dumps(stated, ensure_ascii=False)[:200]}"
