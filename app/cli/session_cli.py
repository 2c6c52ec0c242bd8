"""`python -m app.cli.session_cli …`: the same as `callboard sessions …`, for scripts that call it so."""

from __future__ import annotations

from app.cli.sessions import sessions

if __name__ == "__main__":
    sessions(prog_name="session_cli")
