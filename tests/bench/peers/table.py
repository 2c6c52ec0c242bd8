"""The figures as tables: in columns for a terminal, in bars for docs/performance.md. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.bench.peers import figures
from tests.bench.peers.catalogue import PEERS, Peer

Rows = list[list[str]]
HEAD = ["", "submit/s", "bulk/s", "drained/s", "Callboard ÷ it", "idle p50 / p95 ms",
        "CPU µs a job: worker + PG + Redis", "memory MB", "others' share"]  # fmt: skip
LOSS_HEAD = [
    "Redis lost",
    "workers stopped: ran / twice / never",
    "half-way: ran / twice / never",
    "restarts",
]


def rates(found: dict[str, Any]) -> Rows:
    """A row for each peer that was measured, fastest first."""
    peers = figures.measured(found)
    drained = {name: figures.middle(figures.rates(peer, "drained")) or 0 for name, peer in peers.items()}
    known = [peer for peer in PEERS if peer.name in peers]
    ordered = sorted(known, key=lambda peer: -drained[peer.name])
    return [HEAD, *(_rate_row(found, peer, peers[peer.name]) for peer in ordered)]


def _rate_row(found: dict[str, Any], peer: Peer, one: dict[str, Any]) -> list[str]:
    own, rest = figures.total_mb(one)
    idle = figures.samples(one, "idle_ms")
    cpu = figures.processor_us(one)
    against = figures.middle(figures.ratios(found, peer.name))
    return [
        f"{peer.title} {one['version']}",
        _range(figures.rates(one, "submitted")),
        _range(figures.rates(one, "bulk")),
        _range(figures.rates(one, "drained")),
        "" if peer.name == figures.OURS else _number(against, ".2f"),
        f"{_number(figures.quantile(idle, 0.5), '.1f')} / {_number(figures.quantile(idle, 0.95), '.1f')}",
        " + ".join(_number(value, ",.0f") for value in cpu.values()),
        _number(own, ".0f") + (f" + {rest:.0f} web, scheduler" if rest else ""),
        ", ".join(f"{each['others']:.2f}" for each in one["rounds"]),
    ]


def losses(found: dict[str, Any]) -> Rows:
    """What survived the loss of Redis; a dash where the scenario was not run."""
    rows = [LOSS_HEAD]
    for peer in PEERS:
        lost = found["peers"].get(peer.name, {}).get("redis_lost") or {}
        if lost:
            cells = [_loss(lost.get(key)) for key in ("waiting", "half_way")]
            rows.append([peer.title, *cells, str(sum(each["restarts"] for each in lost.values()))])
    return rows


def asked(found: dict[str, Any]) -> Rows:
    """What was asked of Callboard; a mark says whether it got there in this run."""
    marks = {True: "yes", False: "no", None: "–"}
    rows = [[goal.what, goal.asked, goal.got, marks[goal.met]] for goal in figures.goals(found)]
    return [["Callboard", "asked", "in this run", "met"], *rows] if rows else []


def missing(found: dict[str, Any]) -> list[str]:
    """A line for everything that is not in the tables, and why."""
    lines = []
    for peer in PEERS:
        one = found["peers"].get(peer.name)
        if one is None:
            lines.append(f"{peer.title}: not asked for in this run")
        elif "absent" in one:
            lines.append(f"{peer.title}: not installed: {one['absent']}")
        else:
            lines += [f"{peer.title}: failed: {why}" for why in one["failures"]]
    if found["redis_lost"]:
        lines.append(f"loss of Redis: {found['redis_lost']}")
    return lines


def for_people(found: dict[str, Any]) -> str:
    """All of it for a terminal."""
    tables = [columns(rows) for rows in (rates(found), losses(found), asked(found)) if len(rows) > 1]
    left_out = missing(found)
    return "\n\n".join(
        [
            conditions(found),
            *tables,
            *(["Not in the tables:\n  " + "\n  ".join(left_out)] if left_out else []),
        ]
    )


def conditions(found: dict[str, Any]) -> str:
    """One line: when, on what, how much."""
    machine, how = found["machine"], found["asked"]
    servers = ", ".join(f"{name} {version}" for name, version in machine["servers"].items())
    pythons = sorted({peer["python"] for peer in figures.measured(found).values()})
    return (
        f"{found['taken']}, {machine['processors']} processors, {machine['memory_gib']} GiB, {servers},"
        f" Python {' and '.join(pythons)}; {how['jobs']} jobs × {how['rounds']} rounds, {how['samples']} samples"
    )


def columns(rows: Rows) -> str:
    """Aligned by spaces."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def bars(rows: Rows) -> str:
    """As Markdown."""
    head, *rest = rows
    lines = [head, ["---"] * len(head), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _range(values: Sequence[float]) -> str:
    """The median, with the lowest and the highest round behind it."""
    if not values:
        return "–"
    around = f" [{min(values):,.0f}..{max(values):,.0f}]" if len(values) > 1 else ""
    return _number(figures.middle(values), ",.0f") + around


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _loss(lost: dict[str, int] | None) -> str:
    return "–" if lost is None else f"{lost['ran']} / {lost['twice']} / {lost['never']}"
