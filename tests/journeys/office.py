"""A product with a mail server and somebody who listens for its webhooks: where workflows and news are followed to the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.journeys.asking import admin_of
from tests.journeys.person import JSON, Person
from tests.journeys.product import Product, running
from tests.journeys.willing import willing
from tests.smtp_server import Post, mail_server
from tests.waiting import until

FINAL = ("completed", "failed", "cancelled")


@dataclass(frozen=True)
class Office:
    """The running product, its admin, and the mail server it writes to."""

    product: Product
    admin: Person
    post: Post

    def run(self, definition: JSON, **more: object) -> str:
        """Start a workflow; answers its id."""
        return str(self.admin.post("/api/v1/workflows", definition | more, 201)["workflow_id"])

    def workflow(self, workflow_id: str) -> JSON:
        """The run as the API shows it."""
        return self.admin.get(f"/api/v1/workflows/{workflow_id}")

    def ends(self, workflow_id: str, status: str = "completed", seconds: float = 60) -> JSON:
        """The run when it is over, which must be as `status`."""

        def over() -> JSON | None:
            shown = self.workflow(workflow_id)
            return shown if shown["status"] in FINAL else None

        shown = until(over, seconds, 0.2)
        assert shown is not None
        assert shown["status"] == status, (
            shown["error"],
            [(s["step_id"], s["status"]) for s in shown["steps"]],
        )
        return shown

    def until_step(self, workflow_id: str, step_id: str, status: str, seconds: float = 30) -> JSON:
        """The step of a run when it is `status`."""

        def there() -> JSON | None:
            step = step_of(self.workflow(workflow_id), step_id)
            return step if step["status"] == status else None

        return until(there, seconds, 0.1)  # type: ignore[return-value]

    def mails_to(self, address: str) -> list[str]:
        """The subjects of what `address` got."""
        return [str(mail["Subject"]) for mail in self.post.mails if address in str(mail["To"])]


def step_of(shown: JSON, step_id: str) -> JSON:
    """One step of a run as the API shows it."""
    (found,) = [step for step in shown["steps"] if step["step_id"] == step_id]
    return dict(found)


@contextmanager
def office(**environ: str) -> Iterator[Office]:
    """One with models that always answer; it may call this machine's own addresses."""
    with (
        mail_server() as post,
        willing() as model,
        running(
            LLM_PROVIDERS="openai",
            OPENAI_BASE_URL=f"{model.url}/v1",
            OPENAI_API_KEY="sk-office",
            SMTP_HOST="127.0.0.1",
            SMTP_PORT=str(post.port),
            SMTP_SECURITY="none",
            SMTP_FROM="office@callboard.test",
            HTTP_ALLOW_PRIVATE="true",
            **environ,
        ) as product,
        admin_of(product) as admin,
    ):
        yield Office(product, admin, post)
