"""Run one program in a box: a warden below us ends its whole tree, we read what it says.

The worker's thread stays in one loop (`Box.wait`) that reads both streams and asks the context every
0.2 s whether to stop. Whatever happens to this thread, the warden sees its socket close and cleans up.
"""

from __future__ import annotations

import marshal
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import psutil

from actors.runners.base import Context
from actors.runners.order import Channel, Limits, not_started, order_for
from actors.runners.output import OnLine, OutputLog, Stream, clean_block
from actors.spans import program_span
from app.errors import Asked, AttemptTimeout, Cancelled, JobError, PermanentError, Released, TemporaryError

WARDEN = (
    f"import sys; sys.path.append({str(Path(__file__).parent)!r});"
    " import warden; warden.main(int(sys.argv[1]))"
)
TICK_SECONDS = 0.2
CANCEL_GRACE = 5.0
STOP_GRACE = 2.0
LAST_WORDS_SECONDS = 2.0
WARDEN_GRACE = 15.0  # more than the warden takes to give up
SHUTDOWN_FOLLOWS_SECONDS = 2.0
DRAIN_SECONDS = 2.0
SWEEPS = 20
STDERR_CHARS = 4_000
TERMINATED = (-15, 143)  # by the signal, or by a program that turns it into an exit code


class OutOfMemory(TemporaryError):
    """The agent used more memory than it may."""

    code = "oom"


class OutputLimit(PermanentError):
    """The agent printed more than it may."""

    code = "output_limit"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a program ended by itself."""

    exit_code: int
    """Negative: the signal that killed it."""
    stdout: str
    """The last megabyte."""
    stderr: str
    """The last 4,000 characters, cleaned."""
    stdout_cut: bool
    peak_mb: int
    seconds: float


def run_boxed(
    argv: Sequence[str],
    *,
    context: Context,
    cwd: Path,
    env: Mapping[str, str],
    limits: Limits,
    stdin: bytes = b"",
    on_line: OnLine | None = None,
    channel: Channel | None = None,
) -> Ending:
    """Run `argv` to its end and answer how that was; its exit code is the caller's to judge.

    `on_line` gets every line of output instead of the job's log. After the tree was ended it raises
    Cancelled, Released, AttemptTimeout, or whatever JobError the context's checkpoint raised (its budget
    is spent, it has stalled), or Asked (somebody must agree to what it spent); also OutOfMemory, OutputLimit,
    and PermanentError if the program cannot be started.
    """
    order = order_for(argv, cwd, env, limits, channel)
    with program_span(argv) as span, Box(context, limits, on_line or OutputLog(context), channel) as box:
        box.start(order, stdin)
        ending = box.wait()
        span.set_attribute("process.exit.code", ending.exit_code)
        return ending


class Box:
    """One run: the warden, its pipes, and what was heard so far."""

    def __init__(self, context: Context, limits: Limits, on_line: OnLine, channel: Channel | None) -> None:
        """Nothing is started yet."""
        self.context, self.limits, self.channel = context, limits, channel
        self.streams = {name: Stream(name, on_line) for name in ("stdout", "stderr")}
        self.open_streams = set(self.streams)
        self.held = ExitStack()
        self.selector = self.held.enter_context(selectors.DefaultSelector())
        self.warden: subprocess.Popen[bytes] | None = None
        self.started_at = time.monotonic()
        self.marker = b""
        self.stop_reason = ""
        self.stop_error: JobError | Asked | None = None
        self.asked_at: float | None = None
        self.stop_by = float("inf")
        self.grace = float("inf")
        self.over = False
        self.exit_code: int | None = None
        self.errno = self.oom_mb = self.peak_mb = 0
        self._heard = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything: a warden that still runs takes that as our death and ends the tree."""
        self.held.close()
        if self.warden is None:
            return
        try:
            self.warden.wait(WARDEN_GRACE)
        except subprocess.TimeoutExpired:
            self.warden.kill()
            self.warden.wait()
            sweep(self.marker)

    def start(self, order: dict[str, Any], stdin: bytes) -> None:
        """Start the warden and give it the order."""
        self.control, theirs = socket.socketpair()
        self.held.enter_context(self.control)
        with ExitStack() as given, theirs:
            writers = [given.enter_context(self._listen(stream)) for stream in self.streams.values()]
            self.warden = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", WARDEN, str(theirs.fileno())],
                stdin=given.enter_context(_spooled(stdin)),
                stdout=writers[0],
                stderr=writers[1],
                pass_fds=[theirs.fileno(), *order["keep"]],
                env={},
                cwd="/",
                start_new_session=True,
            )
        if self.channel:
            self.channel.started()
            self.selector.register(self.channel.fileno(), selectors.EVENT_READ, self._hear_channel)
        self.selector.register(self.control, selectors.EVENT_READ, self._hear_warden)
        self.marker = order["env"].get(b"CALLBOARD_IDEMPOTENCY_KEY", b"")
        self._tell(_framed(marshal.dumps(order)))

    def wait(self) -> Ending:
        """Read until the tree is gone."""
        while not self.over:
            for key, _ in self.selector.select(TICK_SECONDS):
                key.data()
            self._look()
        if self.exit_code is None:  # the warden was killed: whatever it watched is still there
            sweep(self.marker)
        self._drain()
        return self._ending()

    def _listen(self, stream: Stream) -> IO[bytes]:
        """Wait for `stream`; answers the end to write to."""
        reader, writer = os.pipe()
        source = self.held.enter_context(open(reader, "rb", buffering=0))

        def read() -> None:
            data = os.read(reader, 65_536)
            if data:
                stream.feed(data)
            else:
                self.selector.unregister(source)
                self.open_streams.discard(stream.name)

        self.selector.register(source, selectors.EVENT_READ, read)
        return open(writer, "wb", buffering=0)

    def _look(self) -> None:
        """Ask whether to stop: the context (only its checkpoint knows of a lost lease), then the limits."""
        seconds = time.monotonic() - self.started_at
        try:
            self.context.checkpoint_due()
        except Cancelled:
            self._stop("cancelled", CANCEL_GRACE)
        except Released:
            self._stop("released", STOP_GRACE)
        except AttemptTimeout:
            self._stop("timeout", STOP_GRACE)
        except Asked as asked:
            self._ask(asked)
        except JobError as error:
            self.stop_error = self.stop_error or error
            self._stop("checkpoint", CANCEL_GRACE)
        if self.context.releasing:  # also of a job that was cancelled just before: the platform waits for us
            self._stop("released", STOP_GRACE)
        if seconds > self.limits.timeout_seconds:
            self._stop("timeout", STOP_GRACE)
        if sum(stream.total_bytes for stream in self.streams.values()) > self.limits.output_bytes:
            self._stop("output", 0)
        if time.monotonic() > self.stop_by:
            self.over = True

    def _ask(self, asked: Asked) -> None:
        """Stop for a question; but programs tell their costs last, and one that ends just now need not be asked about."""
        if self.asked_at is None:
            self.asked_at = time.monotonic()
        elif time.monotonic() - self.asked_at > LAST_WORDS_SECONDS:
            self.stop_error = self.stop_error or asked
            self._stop("checkpoint", CANCEL_GRACE)

    def _stop(self, reason: str, grace: float) -> None:
        """Have the warden end the tree; the first reason counts, the shortest grace too."""
        self.stop_reason = self.stop_reason or reason
        if grace < self.grace:
            self.grace = grace
            self.stop_by = time.monotonic() + grace + WARDEN_GRACE
            self._tell(b"stop %.1f\n" % grace)

    def _tell(self, message: bytes) -> None:
        try:
            self.control.sendall(message)
        except OSError:
            self.over = True  # the warden is gone: __exit__ sweeps

    def _hear_warden(self) -> None:
        try:
            said = self.control.recv(4096)
        except ConnectionResetError:
            said = b""
        self.over = not said
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            word, number = line.split()
            self._note(word.decode(), int(number))

    def _note(self, word: str, number: int) -> None:
        if word == "started":
            self.context.process_started(number)
        elif word == "exited":
            self.exit_code = number
        elif word == "failed":
            self.errno = number
        elif word == "oom":
            self.oom_mb = number
        elif word == "done":
            self.peak_mb, self.over = number, True

    def _hear_channel(self) -> None:
        if self.channel and not self.channel.receive():
            self.selector.unregister(self.channel.fileno())

    def _drain(self) -> None:
        """Read what the dead left in the pipes; two seconds at most, for one that cannot be killed."""
        self.selector.unregister(self.control)
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until and self.selector.get_map():
            ready = self.selector.select(0.5 if self.open_streams else 0)
            if not ready:
                break
            for key, _ in ready:
                key.data()
        for stream in self.streams.values():
            stream.end()

    def _ending(self) -> Ending:
        """Answer how it ended, or raise what that means."""
        stdout, stderr = self.streams["stdout"], self.streams["stderr"]
        tail = clean_block(stderr.text)[-STDERR_CHARS:]
        self._raise_reason({"stderr": tail, "peak_mb": max(self.peak_mb, self.oom_mb)})
        if self.exit_code is None:
            raise TemporaryError("The process that watched the agent was killed.", details={"stderr": tail})
        if self.exit_code in TERMINATED and self._shutdown_follows():
            raise Released
        return Ending(
            exit_code=self.exit_code,
            stdout=stdout.text,
            stderr=tail,
            stdout_cut=stdout.cut,
            peak_mb=self.peak_mb,
            seconds=time.monotonic() - self.started_at,
        )

    def _raise_reason(self, details: dict[str, object]) -> None:
        reasons: dict[str, Callable[[], Exception]] = {
            "cancelled": Cancelled,
            "released": Released,
            "timeout": lambda: AttemptTimeout(
                f"The agent did not finish within {self.limits.timeout_seconds:g} s.", details=details
            ),
            "output": lambda: OutputLimit(
                f"The agent printed more than {self.limits.output_bytes >> 20} MB.", details=details
            ),
        }
        if self.errno:
            raise not_started(self.errno)
        if self.oom_mb:
            message = f"The agent used {self.oom_mb} MB of memory; it may use {self.limits.memory_mb} MB."
            raise OutOfMemory(message, details=details)
        if isinstance(self.stop_error, Asked) and self.exit_code == 0:
            return  # it came to its end before it heard that it should wait: nothing is left to be asked
        if self.stop_reason == "checkpoint" and self.stop_error:
            if isinstance(self.stop_error, JobError):
                self.stop_error.details = details | self.stop_error.details
            raise self.stop_error
        if self.stop_reason:
            raise reasons[self.stop_reason]()  # noqa: RSE102 - a factory, not a class

    def _shutdown_follows(self) -> bool:
        """Whether a TERM that was not ours is the platform stopping every process, us included."""
        until = time.monotonic() + SHUTDOWN_FOLLOWS_SECONDS
        while time.monotonic() < until:
            if self.context.releasing or self.context.draining:
                return True
            time.sleep(0.05)
        return False


def sweep(marker: bytes) -> None:
    """Kill every process that carries this attempt's key: for when the warden itself was killed.

    Repeated until a look finds nobody, because what is killed may just have started another.
    """
    for _ in range(SWEEPS):
        if not marker or not _kill_marked(marker.decode()):
            return


def _kill_marked(marker: str) -> int:
    killed = 0
    for process in psutil.process_iter():
        try:
            if process.environ().get("CALLBOARD_IDEMPOTENCY_KEY") == marker:
                process.kill()
                killed += 1
        except psutil.Error:
            continue
    return killed


def _spooled(data: bytes) -> IO[bytes]:
    """A file to read `data` from: a pipe would need a writer that never blocks."""
    if not data:
        return open(os.devnull, "rb")
    spool = tempfile.TemporaryFile()
    spool.write(data)
    spool.seek(0)
    return spool


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(8, "big") + body
