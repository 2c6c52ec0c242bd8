"""What a thousand watchers cost: open Job pages, and programs that poll a job's status.

    make bench-watching       or    python -m tests.bench.watching [--watchers 1000] [--seconds 60] [--every 2]

The product runs as `make run` starts it. wrk holds one connection for each watcher and sends what that would, about
every two seconds, with the tags it holds: a page asks for all of its regions that are due, a program for the status.
Six hundred of the jobs run, twenty of these with progress every second, the others wait behind them; of a job that is
over a page asks nothing more. Twenty people own them, each with a cookie and a key. Target: p95 below 50 ms, and half
of the machine left free; what wrk itself takes of it is told apart.
"""

from __future__ import annotations

import argparse
import html
import http.cookiejar
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
from bs4 import BeautifulSoup, Tag

from app.accounts import api_keys, users
from app.accounts.permissions import Principal
from app.db import db, make_engine
from tests.bench.http import Busy
from tests.bench.load import Line, Request
from tests.journeys.product import API_KEY, Product
from tests.waiting import until

SCRIPT = Path(__file__).with_name("watching.lua")
NO_WRK = "wrk is not installed. On Debian and Ubuntu: sudo apt-get install wrk"
PASSWORD = "a password of somebody who watches"
MOST_MS = 50.0
FREE = 0.5


@dataclass(frozen=True)
class Watcher:
    """Somebody with a cookie, a key and jobs."""

    cookie: str
    key: str
    jobs: list[str]


@dataclass(frozen=True)
class Open:
    """A page or a program that asks again and again: what it sends along, and what it looks at."""

    header: str
    parts: tuple[tuple[str, ...], ...]
    """As tests/bench/watching.lua reads them."""

    def lines(self) -> str:
        """Itself in the file for wrk."""
        return "".join("\t".join(part) + "\n" for part in (("watcher", self.header), *self.parts))


def watchers(product: Product, count: int) -> list[Watcher]:
    """So many people who signed in; they have no jobs yet."""
    url = f"postgresql+psycopg2://callboard@/callboard?host={quote(str(product.home / 'run'))}"
    db.open(make_engine(url))
    made = []
    for number in range(count):
        email = f"watcher{number}@callboard.test"
        with db.transaction():
            row = users.create(email, PASSWORD, role="user")
            who = Principal(user_id=str(row["user_id"]), email=email, role="user")
            key = api_keys.create(who, name="bench")
        made.append(Watcher(cookie=_signed_in(product, email), key=key.text, jobs=[]))
    return made


def _signed_in(product: Product, email: str) -> str:
    """The session's cookie of somebody who filled in the form."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    form = browser.open(f"{product.url}/sign-in").read().decode()
    token = html.unescape(re.findall(r'name="csrf_token" value="([^"]+)"', form)[0])
    values = urllib.parse.urlencode({"email": email, "password": PASSWORD, "csrf_token": token})
    browser.open(f"{product.url}/sign-in", values.encode()).read()
    return next(f"{cookie.name}={cookie.value}" for cookie in jar if cookie.name == "callboard")


def fill(product: Product, people: list[Watcher], chosen: argparse.Namespace) -> None:
    """Send in a job for each watcher, spread over all people, and wait until so many run; the others wait behind."""
    _submit(product, people, "test-sleeper", chosen.lively, seconds=600)
    _submit(product, people, "test-stubborn", chosen.running - chosen.lively, seconds=600)
    _reached(product, "running", chosen.running)
    _submit(product, people, "test-stubborn", chosen.watchers - chosen.running, seconds=600)


def _submit(product: Product, people: list[Watcher], agent: str, count: int, **parameters: object) -> None:
    for number, person in enumerate(people):
        share = len(range(number, count, len(people)))
        order = {"agent_id": agent, "parameters": parameters, "tags": ["bench"]}
        for start in range(0, share, 100):
            body = json.dumps({"tasks": [order] * min(100, share - start)}).encode()
            line = Line(product.port, {"X-API-Key": person.key})
            status, said, _ = line.send(Request("bulk", "POST", "/api/v1/jobs/bulk", 201, body))
            assert status == 201, said
            person.jobs.extend(each["job_id"] for each in json.loads(said)["results"])


def _reached(product: Product, status: str, count: int) -> None:
    line = Line(product.port, {"X-API-Key": API_KEY})
    look = Request("list", "GET", f"/api/v1/jobs?limit=1&status={status}", 200)
    until(lambda: json.loads(line.send(look)[1])["total"] >= count, 120, 0.2)


def pages(people: list[Watcher], product: Product, every: float) -> Iterator[Open]:
    """The Job page of each job, as it is when it has just been opened."""
    for person in people:
        header = f"Cookie: {person.cookie}"
        line = Line(product.port, {"Cookie": person.cookie})
        for job in person.jobs:
            shown = BeautifulSoup(line.send(Request("page", "GET", f"/jobs/{job}", 200))[1], "html.parser")
            regions = shown.select("[hx-poll]")
            soonest = min(_pace(region, every) for region in regions)
            yield Open(header, tuple(_region(shown, each, _pace(each, every) / soonest) for each in regions))


def _pace(region: Tag, every: float) -> float:
    """Seconds between two looks at a region; should one have stopped meanwhile, it goes on here."""
    milliseconds = re.fullmatch(r"(\d+)ms", str(region["hx-poll"]))
    return int(milliseconds[1]) / 1000 if milliseconds else every


def _region(shown: BeautifulSoup, region: Tag, waits: float) -> tuple[str, ...]:
    """One region of a page, due at every nth of its polls."""
    address, nth = str(region["hx-get"]), str(round(waits))
    if "data-feed" not in region.attrs:
        return "region", address, str(region["data-etag"]).strip('"'), nth
    lines = shown.select(f"#{region['data-feed']} > [data-seq]")
    seen = max(
        [int(str(region.get("data-after") or 0)), *(int(str(each["data-seq"])) for each in lines[-1:])]
    )
    return "feed", address, str(seen), nth


def programs(people: list[Watcher], product: Product, every: float) -> Iterator[Open]:
    """A program for each job that waits for its end."""
    for person in people:
        line = Line(product.port, {"X-API-Key": person.key})
        for job in person.jobs:
            path = f"/api/v1/jobs/{job}/status"
            tag = line.send(Request("first", "GET", path, 200))[2]
            yield Open(f"X-API-Key: {person.key}", (("status", path, tag),))


KINDS = {"pages": pages, "programs": programs}


def watched(product: Product, opened: list[Open], *, seconds: int, every: float) -> dict[str, Any]:
    """What wrk and the processes say of `seconds` with all of them open."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
        file.writelines(each.lines() for each in opened)
        file.flush()
        busy, spent = Busy(product), _spent_by_children()
        psutil.cpu_percent()
        said = subprocess.run(
            ["wrk", "-t1", f"-c{len(opened)}", f"-d{seconds}s", "--timeout", "10s", "--latency",
             "-s", str(SCRIPT), product.url, "--", file.name, str(round(every * 1000))],
            stdout=subprocess.PIPE, text=True, check=True,
        ).stdout  # fmt: skip
        share, load = busy.share(), _spent_by_children() - spent
    idle = 100 - psutil.cpu_percent()
    found: dict[str, Any] = json.loads(re.findall(r"^RESULT (.*)$", said, re.MULTILINE)[0])
    found["first_wrong"] = re.findall(r"^WRONG (.*)$", said, re.MULTILINE)[0]
    return _judged(found, share, load / found["seconds"], idle, len(opened) / every)


def _judged(
    found: dict[str, Any], share: dict[str, float], load: float, idle: float, full: float
) -> dict[str, Any]:
    server = sum(share[name] for name in ("web", "postgres", "redis"))
    rate = found["requests"] / found["seconds"]
    unchanged = found["answers"].get("304", 0)
    right = unchanged + found["answers"].get("200", 0)
    broken = {name: n for name, n in found.pop("broken").items() if n}
    at_full_rate = server * full / rate  # they come one after the other, so the mean rate is lower than that
    free = 1 - at_full_rate / (os.cpu_count() or 1)
    return found | {
        "per_second": round(rate, 1),
        "unchanged": round(unchanged / max(1, right), 4),
        "bytes_of_a_change": round(found.pop("body_bytes").get("200", 0) / max(1, right - unchanged)),
        "wrong": found["requests"] - right,
        "broken": broken,
        "processors_used": share,
        "server_used": round(server, 3),
        "server_used_at_full_rate": round(at_full_rate, 3),
        "server_us_per_poll": round(server / rate * 1e6),
        "load_tool_used": round(load, 3),
        "machine_idle_percent": round(idle, 1),
        "machine_left_free": round(free, 3),
        "met": found["ms"]["p95"] < MOST_MS and free >= FREE and not broken and not found["first_wrong"],
    }


def _spent_by_children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


@contextmanager
def product(running: int) -> Iterator[Product]:
    """A Callboard of its own with the usual intervals; it is gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="cb-w-"))
    made = Product(
        home,
        HEARTBEAT_SECONDS="10", LEASE_SECONDS="60", SWEEP_INTERVAL_SECONDS="5", LOOK_SECONDS="2",
        POLL_QUEUED_MS="3000", POLL_RUNNING_MS="2000", POLL_RETRY_MS="5000", POLL_MIN_MS="1000",
        POLL_LIMIT_PER_MINUTE="6000", WORKER_THREADS=str(running),
    )  # fmt: skip
    made.start()
    try:
        yield made
    finally:
        with made.unattended():
            made.end("worker", signal.SIGKILL)  # its jobs would listen to nothing else
        made.stop()
        shutil.rmtree(home, ignore_errors=True)
        made.said.unlink()


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Each kind of watcher, one after the other."""
    found: dict[str, Any] = {
        "machine": {
            "processors": os.cpu_count(),
            "load_before": [round(each, 2) for each in os.getloadavg()],
        },
        "watchers": chosen.watchers,
        "every_seconds": chosen.every,
    }
    with product(chosen.running) as callboard:
        people = watchers(callboard, chosen.people)
        fill(callboard, people, chosen)
        for kind in chosen.kinds:
            opened = list(KINDS[kind](people, callboard, chosen.every))
            found[kind] = watched(callboard, opened, seconds=chosen.seconds, every=chosen.every)
    return found


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=1000, help="of each kind")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between two polls of a page")
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--running", type=int, default=600, help="of the jobs")
    parser.add_argument("--lively", type=int, default=20, help="of those that run: tell of it every second")
    parser.add_argument("--kinds", nargs="+", choices=tuple(KINDS), default=list(KINDS))
    if shutil.which("wrk") is None:
        sys.exit(NO_WRK)
    print(json.dumps(measure(parser.parse_args()), indent=1))


if __name__ == "__main__":
    main()
