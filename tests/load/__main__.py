"""The load scenarios: many users for a while, a spike, ten thousand jobs in a minute.

    make load       or    python -m tests.load [--scenario 1|2|3] [--minutes M] [--against URL --key KEY]

1: 100 users at 10 requests a second (`--per-second`) for 10 minutes; p95 below 100 ms, no error. 2: 10 to 500 users in
a minute, five minutes held, one down; no crash. 3: 10,000 jobs in a minute, all done within 60. Without `--scenario`
all three, one after the other. Each is run by Locust against a whole Callboard of its own, which is looked through
afterwards: every accepted job completed exactly once, no alarm in a log, no process that ended, memory given back.
`--against` takes a Callboard that is there, with its limits, and sees of its inside only how the jobs ended.
Prints a table and then JSON; ends with 1 if anything was missed. Needs PyPI once, for Locust.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any

from tests.load import running
from tests.load.judging import Verdict, verdicts
from tests.load.scenarios import MINUTES, TITLES, USERS, Plan


def plan(scenario: int, chosen: argparse.Namespace) -> Plan:
    """What is to be done, as asked for or by the figures of the requirement."""
    minutes = chosen.minutes if chosen.minutes is not None else MINUTES[scenario]
    return Plan(
        scenario=scenario,
        seconds=60 * minutes,
        users=chosen.users or USERS[scenario],
        per_second=chosen.per_second if scenario == 1 else 0,
        tasks=chosen.tasks if scenario == 3 else 0,
        submit_seconds=60 * chosen.tasks / 10_000,
        agent_id=chosen.agent,
        parameters=chosen.parameters,
        tag=f"load-{secrets.token_hex(4)}",
    )


def run(scenario: int, chosen: argparse.Namespace) -> tuple[dict[str, Any], list[Verdict]]:
    """One scenario: what was found, and the lines of its table."""
    asked = plan(scenario, chosen)
    print(
        f"\n{scenario}: {TITLES[scenario]}, {asked.users} users, at most {asked.seconds / 60:g} min",
        flush=True,
    )
    load = running.against(asked, chosen.against, chosen.key) if chosen.against else running.alone(asked)
    lines = verdicts(asked, load)
    wide = max(len(line.name) for line in lines)
    for line in lines:
        print(
            f"  {'ok    ' if line.met else 'MISSED'}  {line.name:{wide}}  asked {line.asked}, found {line.found}"
        )
    load |= {"scenario": scenario, "title": TITLES[scenario], "users": asked.users, "tasks": asked.tasks}
    load["missed"] = [line.name for line in lines if not line.met and not line.timed]
    load["slow"] = [line.name for line in lines if not line.met and line.timed]
    return load, lines


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", type=int, nargs="*", choices=(1, 2, 3), default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, help="length of 1 and 2 (10 and 7), the most for 3 (60)")
    parser.add_argument("--users", type=int, help="instead of 100, 500 and 100")
    parser.add_argument("--per-second", type=float, default=10, help="requests of scenario 1, of all users; 0: the mix's own pauses of 1 to 3 s")  # fmt: skip
    parser.add_argument(
        "--tasks", type=int, default=10_000, help="jobs of scenario 3, at ten thousand a minute"
    )
    parser.add_argument(
        "--against", metavar="URL", help="a Callboard that is there; give --key, and likely --agent"
    )
    parser.add_argument("--key", help="an API key that may submit and see its jobs")
    parser.add_argument("--agent", default="test-noop", help="the agent of every job")
    parser.add_argument("--parameters", default='{"text": "load"}', help="its parameters, as JSON")
    chosen = parser.parse_args(given)
    if bool(chosen.against) != bool(chosen.key):
        parser.error("--against and --key belong together")
    return chosen


def main() -> None:
    """Run, print, and end with 1 if a figure was missed."""
    chosen = arguments()
    machine = {"processors": os.cpu_count(), "load_before": [round(each, 2) for each in os.getloadavg()]}
    found = [run(scenario, chosen)[0] for scenario in chosen.scenario]
    print(json.dumps({"machine": machine, "scenarios": found}, indent=1, default=str))
    if any(each["missed"] or each["slow"] for each in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
