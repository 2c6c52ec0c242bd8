"""Hosts of one machine: network namespaces with names, process tables and addresses of their own, on one bridge.

    with Network() as net:
        host = net.host("worker-a")
        Popen([*host.enter(), "python", ...])
        host.cut(); host.join(); host.lose(address); host.find(address)

The bridge is the root namespace's: servers that listen on `net.address` are reached from all hosts, and nothing else is
reached from anywhere. Needs root.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from contextlib import suppress
from typing import Self

from tests.hosts.fetch import WRONG_CLOCK

# What a host's first process is started by: it gives the host its name, and then is the program.
NAMED = 'hostname "$1"; shift; exec "$@"'


def demand_root() -> None:
    """Fail with the way out where nobody may make hosts."""
    assert os.geteuid() == 0, (
        "these tests make network namespaces, which only root may: sudo -n .venv/bin/python -m pytest tests/hosts"
    )


def run(*words: str) -> str:
    """Run one command; fails with what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr or done.stdout}"
    return done.stdout


class Host:
    """One host; its side of the wire is eth0 everywhere."""

    def __init__(self, network: Network, name: str, address: str) -> None:
        """Make it; it is up and reaches the bridge."""
        self.name, self.address = name, address
        self.space = f"{network.mark}-{name}"
        self.wire = f"{network.mark}v{address.rpartition('.')[2]}"
        run("ip", "netns", "add", self.space)
        run(*"ip link add".split(), self.wire, *"type veth peer name eth0 netns".split(), self.space)
        run("ip", "link", "set", self.wire, "master", network.mark, "up")
        self.inside("ip", "addr", "add", f"{address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "link", "set", "lo", "up")

    def inside(self, *words: str) -> str:
        """Run one command on this host."""
        return run("ip", "netns", "exec", self.space, *words)

    def enter(self, ahead_seconds: int = 0) -> tuple[str, ...]:
        """What to put before a command so that it runs here, as process 1 of its own; its clock may be ahead.

        Killing the first process ends all below it, as when the host loses its power.
        """
        own = ("unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
        clock = ("env", *faked(ahead_seconds)) if ahead_seconds else ()
        return ("ip", "netns", "exec", self.space, *own, "sh", "-c", NAMED, "sh", self.name, *clock)

    def cut(self) -> None:
        """Pull the plug: nothing comes through, and nobody is told."""
        run("ip", "link", "set", self.wire, "down")

    def join(self) -> None:
        """Put the plug in again."""
        run("ip", "link", "set", self.wire, "up")

    def lose(self, address: str) -> None:
        """Drop what this host sends to `address`, without a word."""
        self.inside("ip", "route", "add", "blackhole", f"{address}/32")

    def find(self, address: str) -> None:
        """The way to `address` is back."""
        self.inside("ip", "route", "del", "blackhole", f"{address}/32")

    def narrow(self, rate: str) -> None:
        """Let no more than `rate` (like 500kbit) through, in both directions."""
        words = f"root tbf rate {rate} burst 3kb latency 400ms".split()
        run("tc", "qdisc", "replace", "dev", self.wire, *words)
        self.inside("tc", "qdisc", "replace", "dev", "eth0", *words)

    def widen(self) -> None:
        """The whole wire again."""
        run("tc", "qdisc", "del", "dev", self.wire, "root")
        self.inside("tc", "qdisc", "del", "dev", "eth0", "root")


def faked(ahead_seconds: int) -> tuple[str, ...]:
    """The environment of a program whose wall clock is wrong by so many seconds; the monotonic one is right."""
    assert WRONG_CLOCK.exists(), f"{WRONG_CLOCK} is missing: python -m tests.hosts.fetch"
    return f"LD_PRELOAD={WRONG_CLOCK}", f"WRONG_CLOCK_SECONDS={ahead_seconds}"


class Network:
    """A bridge and its hosts, gone at the end; several of these do not disturb each other."""

    def __init__(self) -> None:
        """Nothing is made before it is entered."""
        self.mark = f"cb{secrets.token_hex(2)}"
        self.prefix = ""
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        demand_root()
        run("ip", "link", "add", self.mark, "type", "bridge")
        try:
            self.prefix = f"10.213.{self._free()}"
            for address in (self.address, self.second_address):
                run("ip", "addr", "add", f"{address}/24", "dev", self.mark)
            run("ip", "link", "set", self.mark, "up")
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_failure: object) -> None:
        self._remove()

    @property
    def address(self) -> str:
        """The root namespace's own."""
        return f"{self.prefix}.1"

    @property
    def second_address(self) -> str:
        """Its other one, so that a host can lose one server and reach the other."""
        return f"{self.prefix}.2"

    def host(self, name: str) -> Host:
        """The host of that name, made when it is asked for first."""
        if name not in self.hosts:
            self.hosts[name] = Host(self, name, f"{self.prefix}.{10 + len(self.hosts)}")
        return self.hosts[name]

    def _free(self) -> int:
        """The third byte of a subnet that nobody has here."""
        routes = run("ip", "-4", "route", "show", "table", "all")
        wanted = secrets.randbelow(250)
        return next(n % 250 for n in range(wanted, wanted + 250) if f"10.213.{n % 250}." not in routes)

    def _remove(self) -> None:
        for host in self.hosts.values():
            with suppress(AssertionError):
                run("ip", "netns", "del", host.space)
            with suppress(AssertionError):  # it goes with its peer, after the last process of the namespace
                run("ip", "link", "del", host.wire)
        with suppress(AssertionError):
            run("ip", "link", "del", self.mark)
