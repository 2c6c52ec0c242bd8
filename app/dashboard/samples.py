"""What a shell needs to do what a page does, ready to be pasted."""

from __future__ import annotations

from app.dashboard import https


def first_job() -> str:
    """How a first job is sent in: of an agent that needs no key, with an example that runs."""
    return (
        f"curl -X POST {https.root()}/api/v1/jobs \\\n"
        '  -H "Authorization: Bearer $CALLBOARD_API_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        '  -d \'{"agent_id": "analyst", "parameters":\n'
        '       {"report_type": "weekly", "file": "examples/data/sales.csv"}}\''
    )
