"""A job with those it handed out, drawn as a tree, and what they cost together."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from rich.tree import Tree

from app.cli import telling
from app.cli.speaking import harmless

Node = dict[str, Any]


def tell(found: Node) -> None:
    """Print the job with all below it, each on a line, and the sum of them."""
    root = Tree(_line(found["job"]))
    _grow(root, found["children"])
    out = telling.console()
    out.print(root)
    if found["children"]:
        totals = found["totals"]
        out.print(Text(f"{totals['jobs']} jobs  {_cost(totals)}", style="bold"))
    if found["truncated"]:
        out.print(Text("There are more, which are neither shown nor summed.", style="yellow"))


def _grow(branch: Tree, children: list[Node]) -> None:
    for child in children:
        _grow(branch.add(_line(child)), child["children"])


def _line(job: Node) -> Text:
    status = str(job["status"])
    words = Text(f"{job['job_id']}  ") + Text(harmless(str(job["agent_id"])), style="bold")
    return (
        words + Text(f"  {status}", style=telling.COLOURS.get(status, "")) + Text(f"  {_cost(job['cost'])}")
    )


def _cost(cost: Node) -> str:
    money = "" if cost["usd"] is None else f"${cost['usd']:.4f}"
    tokens = f"{cost['tokens']:,} tokens" if cost["tokens"] else ""
    return "  ".join(filter(None, [telling.lasted(cost["seconds"]), tokens, money]))
