"""What an agent of the tests can do without a model."""

from __future__ import annotations

from actors.runners.base import JSON, Context, Work


def words(work: Work, context: Context) -> JSON:
    """Count them."""
    return {"words": len(work.parameters["task"].split())}
