"""All of Callboard on one machine as one process tree: what `make run` runs.

lock -> port free? -> clear leftovers -> postgres -> redis -> release (migrate, seed)
     -> web, worker, scheduler -> "Callboard is ready at ..." -> watch, restart
SIGTERM, SIGINT -> web -> worker, scheduler -> redis -> postgres: gone within 30 s
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from app.errors import Unavailable
from app.ops import counting, procfile, warm
from app.ops.embedded import Postgres, Valkey
from app.ops.ground import lay_out
from app.ops.growing import PLAN, WORKER, Crew
from app.ops.instance import answers_health, check_port_free, only_one
from app.ops.leftovers import end_descendants, stop_leftovers
from app.ops.logs import Follower, is_grave
from app.ops.processes import MARK, Child, Program, adopt_orphans, reap_strangers
from app.ops.signals import Signals, StopAsked
from app.workers.scaling import Bounds

READY_SECONDS = 120.0
SERVER_SECONDS = 60.0  # recovery after a crash may take its time
GIVE_UP_AFTER = 3  # deaths of one process before everything was ready once
# The stop's timeline, as parts of the plan's `stop_seconds`.
WEB_ALONE, APPS_END, BROKER_END, POSTGRES_FAST = 0.1, 0.84, 0.9, 0.96
SETTLED = 3.0  # seconds that a process which had died must live before all counts as ready
LAST_WORDS = 15  # lines of a log shown with an error
ORPHANS = 1.0  # and so long for what agents left running


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to run. An empty URL means: start an embedded server and tell the others where it is."""

    home: Path
    root: Path
    host: str
    port: int
    database_url: str
    redis_url: str
    procfile: Path
    environ: Mapping[str, str]
    stop_seconds: float = 28.0  # platforms and people expect the end within 30
    workers: Bounds | None = None
    """From so many worker processes to so many, as is decided; None: as many as the Procfile's line says."""
    warm: bool = False
    """Import once and fork, instead of starting each process as a program of its own."""


class Supervisor:
    """Runs a Plan until it is told to stop."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        """`say` gets every line meant for the person at the terminal."""
        self.plan = plan
        self.home = plan.home.resolve()
        self.say = say
        self.signals = Signals()
        self.environ = dict(plan.environ)
        self.servers: dict[str, Child] = {}
        self.apps: dict[str, Child] = {}
        self._due: dict[str, float] = {}  # when to start a dead child again
        self._followers: dict[str, Follower] = {}
        self._ready = False
        self._warm = False
        self._crew: Crew | None = None

    def run(self) -> None:
        """Start, watch, stop; returns after a wished stop, raises CallboardError when it cannot go on."""
        with only_one(self.home) as mark_stopping:
            self.signals.install()
            adopt_orphans()
            try:
                self._start()
                self._watch()
            except StopAsked:
                self.say("Callboard is stopping")
            finally:
                mark_stopping()
                self._stop()

    # -- start

    def _start(self) -> None:
        stopped = stop_leftovers(self.home)
        if stopped:
            self.say(f"Stopped what an earlier run had left: {', '.join(stopped)}")
        check_port_free(self.plan.host, self.plan.port)
        counting.begin_anew(self.home)
        self.environ[MARK] = str(self.home)
        self._start_servers()
        lines = procfile.read(self.plan.procfile)
        if release := lines.pop("release", None):
            self._release(release)
        if self.plan.workers and (worker := lines.pop(WORKER, None)):
            self._hire(worker, self.plan.workers)
        for name, line in lines.items():
            self.apps[name] = self._begin(self._app(name, line))
            self._followers[name] = Follower(self.apps[name].log_file)

    def _hire(self, line: str, bounds: Bounds) -> None:
        """Workers that come and go: each line starts one process."""
        self.environ["WORKER_PROCESSES"] = "1"

        def begin(name: str) -> Child:
            child = self._begin(self._app(name, line))
            self._followers[name] = Follower(child.log_file)
            return child

        self._crew = Crew(bounds=bounds, plan=self.home / "run" / PLAN, begin=begin, say=self.say)
        self._crew.start(self.apps)

    def _start_servers(self) -> None:
        """Those that the plan has no URL for; all at once, then wait for each."""
        given = {"DATABASE_URL": self.plan.database_url, "REDIS_URL": self.plan.redis_url}
        self.environ |= {name: url for name, url in given.items() if url}
        if all(given.values()):
            self._warm_up()
            return
        ground = lay_out(self.home)
        if ground.account and ground.data.parent != self.home:
            self.say(f"Data is kept in {ground.data}: {ground.account.name} cannot enter {self.home}")
        kinds: dict[str, type[Postgres | Valkey]] = {"DATABASE_URL": Postgres, "REDIS_URL": Valkey}
        servers = {name: kind(ground) for name, kind in kinds.items() if not given[name]}
        for server in servers.values():
            server.prepare()
            self.servers[server.name] = self._begin(server.program())
        self._warm_up()  # while they start
        for name, server in servers.items():
            self._await(server.answers, self.servers[server.name])
            server.provision()
            self.environ[name] = server.url

    def _warm_up(self) -> None:
        if not self.plan.warm:
            return
        why_not = warm.up()
        self._warm = why_not is None
        if why_not:
            self.say(f"Each process imports for itself, which takes more memory: {why_not}")

    def _release(self, line: str) -> None:
        """Run the release line to its end and pass on what it prints, which may be a password."""
        child = Child(self._app("release", line), self.home)
        child.log_file.unlink(missing_ok=True)
        self.apps[child.name] = child
        child.start()
        while child.alive:
            self.signals.pause(0.05)
        del self.apps[child.name]
        said = child.log_file.read_text(errors="replace").splitlines()
        for file in (child.log_file, child.pid_file):
            file.unlink(missing_ok=True)
        if child.exit_code:
            raise Unavailable("\n".join([f"`{line}` failed:", *said[-LAST_WORDS:]]))
        for text in said:
            if is_grave(text) or not text.startswith("{"):
                self.say(text)

    def _app(self, name: str, line: str) -> Program:
        argv = procfile.command(line, self.environ)
        inside = warm.entry(argv) if self._warm else None
        return Program(name=name, argv=argv, environ=self.environ, cwd=self.plan.root, inside=inside)

    def _begin(self, program: Program) -> Child:
        child = Child(program, self.home)
        child.start()
        return child

    def _await(self, answers: Callable[[], bool], child: Child) -> None:
        """Until the server answers; raises Unavailable when it died or takes too long."""
        end = time.monotonic() + SERVER_SECONDS
        while not answers():
            if not child.alive or time.monotonic() > end:
                raise Unavailable(f"{child.name} did not start. {last_words(child)}")
            self.signals.pause(0.02)

    # -- watch

    def _watch(self) -> None:
        """Until somebody asks to stop: restart the dead, show warnings, keep logs small."""
        give_up = time.monotonic() + READY_SECONDS
        while True:
            self.signals.pause(0.5 if self._ready else 0.1)
            self._restart_the_dead()
            if self._crew and self._ready:
                self._crew.tend(self.apps)
            reap_strangers({child.pid for child in self._children() if child.pid})
            self._tend_logs()
            if not self._ready:
                self._look_if_ready(give_up)

    def _children(self) -> list[Child]:
        return [*self.servers.values(), *self.apps.values(), *self._leaving()]

    def _leaving(self) -> list[Child]:
        return list(self._crew.leaving) if self._crew else []

    def _restart_the_dead(self) -> None:
        now = time.monotonic()
        for child in [*self.servers.values(), *self.apps.values()]:
            if child.alive:
                continue
            if child.name not in self._due:
                self._note_death(child, now)
            elif now >= self._due[child.name]:
                del self._due[child.name]
                child.start()

    def _note_death(self, child: Child, now: float) -> None:
        wait = child.note_death()
        if not self._ready and child.deaths >= GIVE_UP_AFTER:
            raise Unavailable(f"{child.name} keeps dying. {last_words(child)}")
        self._due[child.name] = now + wait
        self.say(f"{child.name} ended with {child.exit_code}; it is started again in {wait:g} s")

    def _tend_logs(self) -> None:
        for name, follower in self._followers.items():
            for line in follower.grave_lines():
                self.say(f"[{name}] {line[:500]}")
            follower.keep_small()

    def _look_if_ready(self, give_up: float) -> None:
        if all(map(settled, self._children())) and answers_health(self.plan.host, self.plan.port):
            self._ready = True
            self.say(f"Callboard is ready at http://127.0.0.1:{self.plan.port}")
        elif time.monotonic() > give_up:
            raise Unavailable(f"not ready after {READY_SECONDS:g} s; see {self.home / 'log'}")

    # -- stop

    def _stop(self) -> None:
        """Ask in order, wait, kill; afterwards nothing of ours is alive. Safe from any state."""
        begin, whole = time.monotonic(), self.plan.stop_seconds
        web = [child for name, child in self.apps.items() if name == "web"]
        broker = [child for name, child in self.servers.items() if name == Valkey.name]
        postgres = [child for name, child in self.servers.items() if name == Postgres.name]
        ask_and_wait(web, until=begin + WEB_ALONE * whole)
        end([*self.apps.values(), *self._leaving()], until=begin + APPS_END * whole)
        end_descendants(ORPHANS, but={child.pid for child in self.servers.values()})
        end(broker, until=begin + BROKER_END * whole)
        ask_and_wait(postgres, until=begin + POSTGRES_FAST * whole)
        for child in postgres:
            child.quit_hard()
        end(postgres, until=begin + whole)
        stop_leftovers(self.home)


def settled(child: Child) -> bool:
    """True for a process that lives, and does not seem about to die again."""
    return child.alive and (child.deaths == 0 or child.age > SETTLED)


def ask_and_wait(children: list[Child], *, until: float) -> None:
    """Ask `children` to stop, and wait for the last of them, at most until that moment."""
    for child in children:
        child.ask_to_stop()
    while any(child.alive for child in children) and time.monotonic() < until:
        time.sleep(0.02)


def end(children: list[Child], *, until: float) -> None:
    """Ask, wait, and kill whatever is left of their groups."""
    ask_and_wait(children, until=until)
    for child in children:
        child.kill()


def last_words(child: Child) -> str:
    """The end of its log, for an error message."""
    lines = child.log_file.read_text(errors="replace").splitlines()[-LAST_WORDS:]
    return "\n".join([f"The end of {child.log_file}:", *lines])
