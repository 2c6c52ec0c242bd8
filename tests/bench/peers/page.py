"""The section "Beside others" of docs/performance.md and its chart, made from the figures of one run."""

from __future__ import annotations

import statistics
from typing import Any

from app.settings import ROOT
from tests.bench.peers import chart, figures, table
from tests.bench.peers.catalogue import PEERS

PAGE, CHART = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance-peers.svg"
BEGIN = "<!-- beside others: written by `python -m tests.bench.peers --write` -->"
MOST_OTHERS = 0.1
END = "<!-- beside others: end -->"

INTRODUCTION = """## Beside others

`make bench-peers` measures Callboard, with all its features on, and other queues in the same run: one machine, one Postgres, one Redis, rounds interleaved. Each peer lives in a virtual environment of its own (`.cache/peers/`, from pinned requirements with hashes in `tests/bench/peers/requirements/`), near its defaults; nothing of this is installed with Callboard.

```bash elsewhere: takes ten minutes of a quiet machine
make bench-peers
.venv/bin/python -m tests.bench.peers --jobs 2000 --rounds 3 --json /tmp/peers.json --write   # writes this section and its chart
.venv/bin/python -m tests.bench.peers --only callboard,dramatiq,oban --rounds 1 --no-loss      # a quick look
.venv/bin/python -m tests.bench.peers --from /tmp/peers.json --write                           # the same section again
```
"""

READING = """How to read it:

- **Ratios within a run count**, not digits: the machine is shared by workers, servers, feeder and whoever else is on it (`others' share` of the whole machine, one figure a round; above 0.1 the round is not worth much). A cell is the median, with the lowest and the highest round in brackets.
- `submit/s` one call after the other from one thread; `bulk/s` a hundred jobs by one call, a dash where there is no such call. `drained/s`: the queue is filled first, then workers start; from the first job that is done to the last. The quick ones get up to four times as many jobs, so that the start of their processes is no part of it. Done means acknowledged in the way that is the system's own: settled rows where there are rows, a counter in Redis that the job itself raises where there are none (Dramatiq, RQ).
- `idle`: from the call that submits to the first line of the job, by one clock, one job at a time after a rest of 0.2 to 0.6 s. `CPU`: processor time of the workers, of Postgres and of Redis between the first and the last job. `memory`: what the workers really take (PSS), after the drain; of Callboard also web and scheduler, which the others do not have.
- **Loss of Redis** is real: 200 jobs are submitted, Redis is killed (`kill -9`), its folder emptied, and it is started again at the same place; then the workers start. The second time the workers had done half of the jobs when it happened. Each job writes its number into a file. One job more is submitted, and once that has run, what has not run after 12 s without news counts as never. `restarts`: workers that ended by themselves and had to be started again.

What is alike: the job does nothing, 16 at a time or the nearest there is, the same two servers over a local socket, Postgres waits for the disk (`fsync` and `synchronous_commit` on), Redis writes its append-only file each second. What is not:
"""


def write(found: dict[str, Any]) -> None:
    """Replace the section between its marks, and the chart."""
    CHART.write_text(chart.svg(found))
    PAGE.write_text(placed(PAGE.read_text(), section(found)))


def placed(text: str, written: str) -> str:
    """`text` with the section between the two marks replaced; ahead of "Watching" when it is not there yet."""
    block = f"{BEGIN}\n{written.rstrip()}\n{END}"
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        return before + block + rest.split(END, 1)[1]
    before, mark, rest = text.partition("\n## Watching")
    return f"{before.rstrip()}\n\n{block}\n{mark}{rest}"


def section(found: dict[str, Any]) -> str:
    """The whole section."""
    left_out = [f"- {line}." for line in table.missing(found)]
    parts = [
        INTRODUCTION.rstrip(),
        table.conditions(found) + "." + _caution(found),
        f"![Bar chart: jobs drained a second, Callboard beside others]({CHART.name})",
        table.bars(table.rates(found)),
        *([table.bars(rows)] if len(rows := table.asked(found)) > 1 else []),
        *([table.bars(rows)] if len(rows := table.losses(found)) > 1 else []),
        *(["Not in the tables:", "\n".join(left_out)] if left_out else []),
        READING.rstrip(),
        table.bars(_differences(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _caution(found: dict[str, Any]) -> str:
    """What must be said of a run beside which others worked."""
    shares = [each["others"] for peer in figures.measured(found).values() for each in peer["rounds"]]
    if not shares or (middle := statistics.median(shares)) <= MOST_OTHERS:
        return ""
    return f" **Others used {middle:.0%} of the machine meanwhile (median): not even the ratios are worth much.**"


def _differences(found: dict[str, Any]) -> list[list[str]]:
    measured = figures.measured(found)
    rows = [
        [peer.title, measured[peer.name]["python"], peer.runs, peer.keeps]
        for peer in PEERS
        if peer.name in measured
    ]
    return [["", "Python", "runs as", "keeps what, where"], *rows]
