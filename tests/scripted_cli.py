"""A program that plays a coding CLI from a score: recorded streams, delays, tool children, exit codes.

    scripted_cli.py ... --score FOLDER

`FOLDER/score.json` is a list of runs, each a list of steps; the n-th start plays the n-th run (the last one again
and again), and leaves its arguments, its standard input and its environment in `FOLDER/call-N.json`. Steps:
{"play": stream, "lines": [from, to]}, {"say": text}, {"complain": text}, {"long": bytes}, {"tool": seconds} (a child
in a session of its own), {"write": path, "text": text}, {"run": argv}, {"wait": path}, {"hang": true}, {"exit": code}.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

STREAMS = Path(__file__).parent / "actors" / "runners" / "streams"


def main() -> None:
    """Play the next run."""
    folder = Path(sys.argv[sys.argv.index("--score") + 1])
    number = len(list(folder.glob("call-*.json")))
    call = {"argv": sys.argv[1:], "stdin": sys.stdin.read(), "env": dict(os.environ), "cwd": os.getcwd()}
    (folder / f"call-{number}.json").write_text(json.dumps(call))
    runs = json.loads((folder / "score.json").read_text())
    for step in runs[min(number, len(runs) - 1)]:
        do(step)


def do(step: dict[str, Any]) -> None:
    """One step."""
    if "play" in step:
        start, end = step.get("lines", [0, None])
        for line in (STREAMS / step["play"]).read_text().splitlines()[start:end]:
            print(with_our_session(line), flush=True)
    elif "say" in step:
        print(step["say"], flush=True)
    elif "complain" in step:
        print(step["complain"], file=sys.stderr, flush=True)
    elif "long" in step:
        print('{"type":"user","x":"' + "x" * step["long"] + '"}', flush=True)
    elif "tool" in step:
        subprocess.Popen(["sleep", str(step["tool"])], start_new_session=True)
    elif "write" in step:
        path = Path(step["write"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(step["text"])
    elif "run" in step:
        subprocess.run(step["run"], check=True, stdout=subprocess.DEVNULL)
    elif "wait" in step:
        while not Path(step["wait"]).exists():
            time.sleep(0.02)
    elif "hang" in step:
        while True:
            time.sleep(60)
    elif "exit" in step:
        sys.exit(step["exit"])


def with_our_session(line: str) -> str:
    """`line` with the session id that we were started with, if we were given one."""
    ours = next(
        (sys.argv[at + 1] for at, word in enumerate(sys.argv) if word in {"--session-id", "--resume"}), None
    )
    event = json.loads(line)
    if ours is None or "session_id" not in event:
        return line
    return json.dumps(event | {"session_id": ours}, separators=(",", ":"))


if __name__ == "__main__":
    main()
