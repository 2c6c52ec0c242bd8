"""`python -m app`: the command line, also installed as `callboard`."""

from __future__ import annotations

from app.cli import cli


def main() -> None:
    """Run the command line."""
    cli(prog_name="callboard")


if __name__ == "__main__":
    main()
