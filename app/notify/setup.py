"""What the room must know of the process it runs in, told once at start; it reads no settings itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Where alerts go, how long alike news is counted together, and what addresses may be called."""

    public_url: str = ""
    """Put before links, which are paths."""
    group_minutes: float = 15
    alert_emails: tuple[str, ...] = ()
    alert_channels: tuple[str, ...] = ()
    """Chats that get alerts without any rule."""
    channels: tuple[str, ...] = ()
    """The names of all chats that are configured."""
    allow_private: bool = False


Wake = Callable[[], None]


def _nobody() -> None:
    """No courier in this process: those of others look every second."""


_setup = Setup()
_wake: Wake = _nobody


def use(setup: Setup) -> None:
    """From now on this process tells by `setup`."""
    global _setup  # noqa: PLW0603 - one per process, set once at start
    _setup = setup


def present() -> Setup:
    """How this process tells."""
    return _setup


def wake_with(wake: Wake) -> None:
    """From now on call `wake` whenever something is to be delivered."""
    global _wake  # noqa: PLW0603 - one courier per process, set once at start
    _wake = wake


def wake() -> None:
    """There is something to deliver, and it is committed."""
    _wake()
