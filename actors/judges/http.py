"""A check that is an address: it is sent the draft as JSON and answers {score or passed, issues, suggestion, evidence}.

The body: {job_id, agent_id, check, draft (its number), text, result, brief (the job's parameters)}. The same rules as
for http agents: public addresses only unless a setting allows others, no redirects, `{{secret.NAME}}` in headers.
Any answer but 2xx with a score says nothing about the draft.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from actors.judges.aside import Aside
from actors.judges.told import finding_of
from actors.runners.base import Context, Work
from actors.runners.http import SECRET, HttpRunner
from app.quality.definition import Http
from app.quality.report import Finding

if TYPE_CHECKING:
    from actors.judges import Draft


def judge(spec: Http, draft: Draft, work: Work, context: Context, *, call: str) -> Finding:
    """Send the draft; raises a JobError if there is no usable answer."""
    config = {
        "url": spec.url,
        "headers": dict(spec.headers),
        "secrets": [name for value in spec.headers.values() for name in SECRET.findall(value)],
        "timeout": spec.timeout,
        "http_allow_private": work.config.get("http_allow_private"),
    }
    body = {
        "job_id": work.job_id,
        "agent_id": work.agent_id,
        "check": spec.name,
        "draft": draft.number,
        "text": draft.text,
        "result": draft.value,
        "brief": work.parameters,
    }
    asked = replace(
        work,
        config=config,
        parameters=body,
        feedback=None,
        idempotency_key=f"{work.job_id}:{draft.number}:{quote(spec.name, safe=' ')}",
    )
    aside = cast("Context", Aside(context, name=call, seconds=spec.timeout + 1))
    return finding_of(spec, HttpRunner().run(asked, aside))
