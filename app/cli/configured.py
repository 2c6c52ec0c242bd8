"""The settings as the command line sees them: wrong variables become one readable error."""

from __future__ import annotations

from pydantic import ValidationError

from app import settings as configuration
from app.errors import Invalid


def settings() -> configuration.Settings:
    """Read the settings; raises Invalid with each wrong variable by name."""
    try:
        return configuration.load()
    except ValidationError as error:
        wrong = configuration.complaints(error)
        raise Invalid("\n  ".join(["the environment has wrong settings", *wrong])) from error
