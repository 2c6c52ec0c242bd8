"""The Python client: submit work to a Callboard server, watch it, and read what came out.

    from app.client import Client

    callboard = Client("http://127.0.0.1:8000", key="cb_…")
    job = callboard.submit("researcher", {"topic": "Tides"})
    print(callboard.wait(job.job_id).result)

It stands alone: nothing of the server is imported, so the folder may be copied into another program.
"""

from __future__ import annotations

from app.client.calls import JSON, LOCAL, Away, CallFailed, NotFound, Refused
from app.client.client import Client
from app.client.shapes import (
    Accepted,
    Agent,
    Approval,
    Artifact,
    Blocker,
    BulkItem,
    DeadLetter,
    Event,
    Explanation,
    Job,
    LogLine,
    Page,
    Poll,
    Session,
    StatusDocument,
    WorkflowRun,
)
from app.client.waiting import StillRunning, Trouble

__all__ = [
    "JSON",
    "LOCAL",
    "Accepted",
    "Agent",
    "Approval",
    "Artifact",
    "Away",
    "Blocker",
    "BulkItem",
    "CallFailed",
    "Client",
    "DeadLetter",
    "Event",
    "Explanation",
    "Job",
    "LogLine",
    "NotFound",
    "Page",
    "Poll",
    "Refused",
    "Session",
    "StatusDocument",
    "StillRunning",
    "Trouble",
    "WorkflowRun",
]
