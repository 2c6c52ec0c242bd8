"""The warden: a tiny process between the worker and one agent, that leaves nothing behind.

    worker ──control socket──► warden (subreaper) ──fork──► agent, in a session of its own
                                                             └── children, their children, …

Every orphan below it becomes the warden's own child, `setsid` and double forks included, so "I have
no children left" is proof that the tree is gone. It ends the tree when the agent itself ends, when
the worker says so, when the worker is gone (end of file), when the tree takes too much memory, or
when the worker has slept through the deadline.

Standard library only, and little of that (no `typing`, no `signal`: they cost 15 ms), because it is
started for every attempt, and imported rather than run as a script, so that its bytecode is cached.
Spoken over the control socket: first the order (marshal), then `stop SECONDS` from the worker;
`started PID`, `failed ERRNO`, `oom MB`, `exited CODE`, `done MB` from here, one line each.
"""

from __future__ import annotations

import ctypes
import errno
import marshal
import os
import resource
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any, NoReturn
else:
    import _signal as signal

TICK_MS = 250
ORPHANED_GRACE = 1.0
LEFTOVER_GRACE = 2.0
GIVE_UP_SECONDS = 10.0  # a process in uninterruptible sleep cannot be killed by anybody
PAGE_BYTES = resource.getpagesize()

LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38


def main(control: int) -> None:
    """Take the order from `control`, run it, and end when nothing of it is left."""
    os.set_inheritable(control, False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # platforms TERM every process; the worker decides for us
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    order = read_order(control)
    if order is not None:
        Ward(control, order).keep()
    os._exit(0)  # nothing to tidy up, and 4 ms saved


def prctl(option: int, value: int) -> None:
    """Set a property of this process where the system knows it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def read_order(control: int) -> dict[str, Any] | None:
    """The order, preceded by its length in 8 bytes; None if the worker died while writing it."""
    head = read_exactly(control, 8)
    body = head and read_exactly(control, int.from_bytes(head, "big"))
    return marshal.loads(body) if body else None  # noqa: S302 - from our own worker, over a private socket


def read_exactly(fd: int, size: int) -> bytes | None:
    """`size` bytes, or None at the end of file."""
    held = bytearray()
    while len(held) < size:
        chunk = os.read(fd, size - len(held))
        if not chunk:
            return None
        held += chunk
    return bytes(held)


class Ward:
    """One agent and everything it starts."""

    def __init__(self, control: int, order: dict[str, Any]) -> None:
        """Keep the order; nothing is started yet."""
        self.control = control
        self.order = order
        self.started_at = time.monotonic()
        self.agent = 0
        self.agent_over = False
        self.peak_bytes = 0
        self.buffer = b""

    def keep(self) -> None:
        """Start the agent, watch it, end what is left of it."""
        self.agent = os.fork() or become_agent(self.control, self.order)
        self.say(f"started {self.agent}")
        let_go(self.order["keep"])
        self.clear(self.watch())
        self.say(f"done {self.peak_bytes >> 20}")

    def watch(self) -> float:
        """Wait for a reason to end the tree; answers the grace in seconds."""
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        exit_seen = register_exit(poll, self.agent)
        while True:
            poll.poll(TICK_MS if exit_seen else 50)
            self.reap()
            grace = self.reason_to_end()
            if grace is not None:
                return grace

    def reason_to_end(self) -> float | None:
        """The grace that whatever happened allows; None if nothing did."""
        if self.agent_over:
            return LEFTOVER_GRACE
        told = self.hear()
        if told is not None:
            return told
        if self.over_memory():
            return 0.0
        return LEFTOVER_GRACE if time.monotonic() - self.started_at > self.order["deadline"] else None

    def hear(self) -> float | None:
        """What the worker says: a grace, or its death."""
        if not readable(self.control):
            return None
        try:
            said = os.read(self.control, 4096)
        except OSError:
            said = b""
        if not said:
            return ORPHANED_GRACE
        *lines, self.buffer = (self.buffer + said).split(b"\n")
        return min((float(line.split()[1]) for line in lines), default=None)

    def over_memory(self) -> bool:
        """Whether the tree holds more than it may; says so once."""
        tree = descendants(self.agent)
        held = sum(resident_bytes(pid) for pid in tree)
        limit = self.order["memory_bytes"]
        if limit and held > limit:  # shared pages were counted once per process: count properly
            held = sum(proportional_bytes(pid) for pid in tree)
        self.peak_bytes = max(self.peak_bytes, held)
        if limit and held > limit:
            self.say(f"oom {held >> 20}")
            return True
        return False

    def clear(self, grace: float) -> None:
        """TERM everything, KILL what is left after `grace` seconds, until there are no children."""
        kill_at = time.monotonic() + grace
        told: set[int] = set()
        while self.reap() and time.monotonic() < kill_at + GIVE_UP_SECONDS:
            if time.monotonic() >= kill_at:
                signal_all(descendants(os.getpid()), self.agent, signal.SIGKILL)
            else:
                fresh = descendants(os.getpid()) - told
                signal_all(fresh, self.agent, signal.SIGTERM)
                told |= fresh
            time.sleep(0.01)
            sooner = self.hear() if grace > ORPHANED_GRACE else None
            if sooner is not None:
                kill_at = min(kill_at, time.monotonic() + sooner)

    def reap(self) -> bool:
        """Bury the dead; answers whether children are left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.agent and not self.agent_over:
                self.agent_over = True
                self.say(f"exited {os.waitstatus_to_exitcode(status)}")

    def say(self, line: str) -> None:
        """Tell the worker; it may be dead."""
        try:
            os.write(self.control, line.encode() + b"\n")
        except OSError:
            pass


def become_agent(control: int, order: dict[str, Any]) -> NoReturn:
    """In the forked child: give up everything that is the warden's and execute the agent."""
    try:
        os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # if the warden itself is killed
        prctl(PR_SET_NO_NEW_PRIVS, 1)  # nothing setuid, so everything below stays killable
        for number in set(range(1, signal.NSIG)) - {signal.SIGKILL, signal.SIGSTOP}:
            reset(number)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        limit_resources(order)
        os.umask(0o077)
        os.chdir(order["cwd"])
        for fd in order["keep"]:
            os.set_inheritable(fd, True)
        os.execve(order["program"], order["argv"], order["env"])  # noqa: S606 - never a shell
    except OSError as error:
        os.write(control, b"failed %d\n" % (error.errno or errno.EINVAL))
    finally:
        os._exit(127)


def reset(number: int) -> None:
    """The default action for a signal; some numbers are reserved."""
    try:
        signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        pass


def limit_resources(order: dict[str, Any]) -> None:
    """No core files, bounded files and descriptors, first to go when the machine is out of memory."""
    for kind, amount in order["limits"]:
        hard = resource.getrlimit(kind)[1]
        allowed = amount if hard == resource.RLIM_INFINITY else min(amount, hard)
        resource.setrlimit(kind, (allowed, allowed))
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("800")
    except OSError:
        pass


def let_go(kept: list[int]) -> None:
    """The agent's descriptors are its own now: a copy here would hide the end of file."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2, *kept):
        os.dup2(null, fd, inheritable=False)


def register_exit(poll: select.poll, pid: int) -> bool:
    """Have the poll wake when `pid` ends; False where the system cannot."""
    try:
        poll.register(os.pidfd_open(pid), select.POLLIN)
    except (AttributeError, OSError):
        return False
    return True


def readable(fd: int) -> bool:
    """Whether a read would not block."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def descendants(root: int) -> set[int]:
    """Every process below `root`, and `root` unless it is this process; empty without /proc."""
    found: set[int] = set()
    ahead = [root]
    while ahead:
        pid = ahead.pop()
        fresh = children(pid) - found
        found |= fresh
        ahead += fresh
    return found | ({root} - {os.getpid()})


def children(pid: int) -> set[int]:
    """The direct children of `pid`, whichever of its threads started them."""
    if not LISTS_CHILDREN:
        return {child for child, parent in parents().items() if parent == pid}
    below: set[int] = set()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as listed:
                below.update(map(int, listed.read().split()))
    except OSError:
        pass
    return below


def parents() -> dict[int, int]:
    """The parent of every process, for kernels that do not list children."""
    found: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
        try:
            with open(f"/proc/{int(name)}/stat", "rb") as stat:
                found[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError):
            continue
    return found


def signal_all(tree: set[int], agent: int, number: int) -> None:
    """Send a signal to each; without /proc to the agent's own group."""
    for pid in tree:
        try:
            os.kill(pid, number) if sys.platform == "linux" else os.killpg(agent, number)
        except OSError:
            pass


def resident_bytes(pid: int) -> int:
    """What the process has in memory, shared pages included; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:
            return int(statm.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def proportional_bytes(pid: int) -> int:
    """As `resident_bytes`, with each shared page divided among its users."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            sizes = [int(line.split()[1]) for line in rollup if line.startswith(b"Pss:")]
            return sizes[0] << 10
    except (OSError, IndexError):
        return resident_bytes(pid)
