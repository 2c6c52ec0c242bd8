"""A product with a model that writes blog posts and a CMS that takes them: what journeys of content begin with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.journeys.asking import admin_of
from tests.journeys.person import JSON, Person
from tests.journeys.product import running
from tests.model_server import Model, Say, speaking
from tests.openai_server import Chat
from tests.strapi_server import Strapi, strapi

BLOG = "https://blog.example"
STUBBORN = "stubborn"
"""A topic with this word is written about poorly until an editor asks for better."""
POOR = "# How a night queue saves\n\nIt saves a lot."
GOOD = """# How a night queue cuts the cost of AI agents

A night queue moves work that nobody waits for into cheap hours. This post shows what a night queue saves, how to
set one up in an afternoon, and where it does more harm than good.

## What you save

Last month a team of four moved 1,200 jobs from noon to 2 a.m. Their bill fell from $310 to $184, because the night
tariff of their provider is 40% lower. For example, a report that cost $0.42 by day costs $0.25 by night. Nobody
noticed a difference: all reports were there at 8 o'clock.

## How to set up a night queue

You need three things before you start:

- A list of jobs that can wait until the morning.
- A schedule, such as `0 2 * * *`, for each of them.
- A limit of $20 per night, so that a broken job stops early.

Begin with one job. Run it for a week, then compare the bill of both weeks. If the job failed twice, raise its limit
or leave it in the day queue.

## Where it does harm

A night queue is wrong for work that people wait for. When a customer asks at noon, an answer at 8 a.m. is too late.
Keep those jobs in the day queue, and give them their own budget.

## Conclusion

To sum up, a night queue is worth an afternoon of work if a third of your jobs can wait. Try it today: pick one
report, give it a schedule, and compare the two bills next week.
"""


class Author(Chat):
    """Writes poorly at first, and well when told what was wrong; with a stubborn topic only when an editor says so."""

    def reply(self, request: dict[str, Any]) -> None:
        """By what the order says."""
        if not self.path.endswith("/chat/completions"):
            return super().reply(request)
        self.model.asked.append(request)
        order = str(request["messages"])
        told = "An editor asks for this" if STUBBORN in order else "is not good enough yet"
        return self.stream(Say(GOOD if told in order else POOR), str(request.get("model")), request)


@dataclass(frozen=True)
class Desk:
    """The running product, its admin, its model and its CMS."""

    admin: Person
    model: Model
    cms: Strapi

    def post(self, topic: str, **wishes: object) -> JSON:
        """Order a post about something; answers what was accepted."""
        order = {"topic": topic, "target_length": 260, "primary_keyword": "night queue"}
        return self.admin.post("/api/content/blog-posts", order | wishes, 202)

    def question(self, job_id: str) -> JSON:
        """The question with which a job waits."""
        waits = self.admin.reaches(job_id, "awaiting_input")
        return self.admin.get(f"/api/v1/approvals/{waits['approval_id']}")

    def answer(self, question: JSON, decision: str, **more: object) -> JSON:
        """Answer it; the question as it is then."""
        path = f"/api/v1/approvals/{question['approval_id']}/answer"
        return self.admin.post(path, {"decision": decision, **more})

    def in_cms(self, job_id: str) -> list[JSON]:
        """The posts of a job that people can read."""
        return [post for post in self.cms.published if str(post["callboard_key"]).startswith(job_id)]


@contextmanager
def desk() -> Iterator[Desk]:
    """One on free ports."""
    with (
        speaking(Author, Say("")) as model,
        strapi() as cms,
        running(
            LLM_PROVIDERS="openai",
            OPENAI_BASE_URL=f"{model.url}/v1",
            OPENAI_API_KEY="sk-content",
            STRAPI_URL=cms.url,
            STRAPI_API_TOKEN=cms.token,
            STRAPI_PUBLIC_URL=f"{BLOG}/{{slug}}",
        ) as product,
        admin_of(product) as admin,
    ):
        yield Desk(admin, model, cms)
