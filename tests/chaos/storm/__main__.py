"""`python -m tests.chaos.storm --minutes 10 --seed 7`: exit code 1 if something is broken, and what."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from pathlib import Path

from app.settings import ROOT
from tests.chaos.storm.plan import plan, told
from tests.chaos.storm.report import markdown, write_guide

GUIDE = ROOT / "docs" / "reliability.md"


def main(argv: list[str] | None = None) -> int:
    """Run one storm."""
    wanted = _arguments().parse_args(argv)
    seed = wanted.seed if wanted.seed is not None else secrets.randbelow(100_000)
    only = tuple(word for word in wanted.only.split(",") if word)
    try:
        blows = plan(seed, wanted.minutes, only)
    except ValueError as wrong:
        print(wrong, file=sys.stderr)
        return 2
    print(told(blows, seed, wanted.minutes), flush=True)
    if wanted.list:
        return 0
    from tests.chaos.storm.run import storm  # starts much; --list needs nothing of it

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started and mounted goes with it
    try:
        report, logs = storm(
            seed,
            wanted.minutes,
            rate=wanted.rate,
            only=only,
            without=wanted.without,
            say=lambda words: print(words, flush=True),
        )
    except BaseException:
        print(f"seed {seed}: the storm itself broke", flush=True)
        raise
    text = markdown(report)
    print(text)
    for line, count in report.surprises.items():
        print(f"in the logs {count} times: {line}")
    if wanted.report:
        wanted.report.write_text(text)
    if wanted.json:
        wanted.json.write_text(report.as_json())
    if wanted.write_docs:
        write_guide(GUIDE, report)
    if logs:
        print(f"BROKEN: {', '.join(report.broken)}; the logs are in {logs}")
    print(f"seed {seed}: {'all held' if report.good else 'BROKEN'}")
    return 0 if report.good else 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long things break (10)")
    parser.add_argument("--seed", type=int, help="the same seed and minutes are the same storm")
    parser.add_argument("--rate", type=float, default=6.0, help="orders a second (6)")
    parser.add_argument("--only", default="", help="faults whose names begin with one of these, by commas")
    parser.add_argument("--list", action="store_true", help="print the plan and end")
    parser.add_argument("--report", type=Path, help="write the report here, as markdown")
    parser.add_argument("--json", type=Path, help="write the report here, as JSON")
    parser.add_argument("--write-docs", action="store_true", help="put the report into docs/reliability.md")
    parser.add_argument(
        "--without", default="", choices=("", "fence"), help="take a guard away: the storm must notice"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
