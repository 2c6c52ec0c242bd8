"""docs/traceability.md out of requirements.toml: python -m tests.architecture.traceability"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from app.settings import ROOT

LEDGER = Path(__file__).with_name("requirements.toml")
GUIDE = ROOT / "docs" / "traceability.md"
HEAD = """# What was asked for, and what shows it

Callboard was built from a list of requirements with ids such as `REL-13`. `tests/architecture/requirements.toml` names for each the tests, or the chapters of these guides, that show it is met; a test sees that each of them is there. This page is made of that file by `python -m tests.architecture.traceability`.

A test that is named shows the heart of a requirement, not each of its words. By a guide alone are figures, which are measured and not judged ([performance](performance.md)), duties of whoever runs it, and the guides that were asked for.

| | asked for | by a test | by a guide alone | by nothing |
|---|---|---|---|---|
"""


def ledger() -> dict[str, dict[str, Any]]:
    """The sections: {prefix: {title, id: [proofs]}}, and `none` with the reasons."""
    return tomllib.loads(LEDGER.read_text())


def page() -> str:
    """The guide as it should be."""
    sections = ledger()
    reasons = sections.pop("none")
    rows, guides = [], []
    for prefix, section in sections.items():
        wanted = {name: proofs for name, proofs in section.items() if name != "title"}
        tested = [name for name, proofs in wanted.items() if any("::" in proof for proof in proofs)]
        told = [name for name, proofs in wanted.items() if proofs and name not in tested]
        without = len(wanted) - len(tested) - len(told)
        rows.append(
            f"| {section['title']} (`{prefix}`) | {len(wanted)} | {len(tested)} | {len(told)} | {without} |"
        )
        guides += [f"- `{name}`: {', '.join(map(_link, wanted[name]))}" for name in told]
    missing = [f"- `{name}`: {reason}" for name, reason in reasons.items()]
    parts = ["\n".join(rows), "## By nothing", "\n".join(missing), "## By a guide alone", "\n".join(guides)]
    return HEAD + "\n\n".join(parts) + "\n"


def _link(proof: str) -> str:
    path = proof.removeprefix("docs/")
    return f"[{path.partition('#')[0].removesuffix('.md')}]({path})"


if __name__ == "__main__":
    GUIDE.write_text(page())
