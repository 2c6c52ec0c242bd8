"""What a warden is asked to run, and with what limits: built and checked before anything starts."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.errors import PermanentError

LATE_SECONDS = 20.0  # the warden's own deadline after ours: only for a worker that sleeps


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a boxed program may use; 0 means no limit of that kind."""

    timeout_seconds: float
    memory_mb: int = 0
    """Of the whole tree, watched four times a second."""
    address_space_mb: int = 0
    """Of each process, enforced by the kernel; unfit for node and all that reserves much."""
    file_mb: int = 2048
    output_bytes: int = 64_000_000


class Channel(Protocol):
    """A second line between worker and child, besides stdin, stdout and stderr."""

    child_fd: int
    """The child's end; inherited under the same number."""

    def fileno(self) -> int:
        """Our end, to wait for."""

    def receive(self) -> bool:
        """Read what is there; False at the end of file."""

    def started(self) -> None:
        """The child has its end now; close ours of it."""


def find_program(name: str, path: str) -> str:
    """The file that `name` stands for on `path`; raises PermanentError if there is none."""
    if found := shutil.which(name, path=path):
        return found
    message = f"`{name}` is not installed on this worker."
    raise PermanentError(message, details={"program": name, "path": path})


def order_for(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], limits: Limits, channel: Channel | None
) -> dict[str, Any]:
    """What the warden is told, in types that `marshal` knows.

    Raises PermanentError for a program that is not there and text that no program can be given.
    """
    kernel_limits = [
        (resource.RLIMIT_NOFILE, 1024),
        (resource.RLIMIT_FSIZE, limits.file_mb << 20),
        (resource.RLIMIT_AS, limits.address_space_mb << 20),
    ]
    return {
        "program": os.fsencode(find_program(argv[0], env.get("PATH", os.defpath))),
        "argv": [_argument(element) for element in argv],
        "env": {_argument(name): _argument(value) for name, value in env.items()},
        "cwd": os.fsencode(cwd),
        "keep": [channel.child_fd] if channel else [],
        "limits": [(resource.RLIMIT_CORE, 0), *(limit for limit in kernel_limits if limit[1])],
        "memory_bytes": limits.memory_mb << 20,
        "deadline": limits.timeout_seconds + LATE_SECONDS,
    }


def _argument(text: str) -> bytes:
    """`text` as the kernel takes it: UTF-8 without NUL."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise PermanentError("A parameter holds half of a surrogate pair.", user_error=True) from error
    if b"\0" in encoded:
        raise PermanentError("A parameter holds a NUL character; no program takes one.", user_error=True)
    return encoded


def not_started(number: int) -> PermanentError:
    """What the kernel's refusal to start the program means."""
    if number == errno.E2BIG:
        message = "The parameters are too large for a command line; have the agent read them from stdin."
        return PermanentError(message, user_error=True)
    return PermanentError(f"The program could not be started: {os.strerror(number)}.")
