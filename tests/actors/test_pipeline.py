"""The content pipeline from the claim to the settle: real Postgres, model servers and a CMS on this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import Engine

from actors.attempt import Attempt
from actors.clients import images
from actors.post import Post
from app.accounts.permissions import Principal
from app.agents import registry
from app.agents.definition import parse
from app.approvals import policies
from app.db import db
from app.jobs import intake
from app.quality import gates
from app.settings import ROOT
from app.workflows import asking
from tests import acting, posting
from tests.model_server import Refuse, Say
from tests.openai_server import Limited
from tests.photos import PEXELS_KEY, UNSPLASH_KEY, Photos, photo_services
from tests.posting import attempt, attempts, drafts, entries, job, pipeline, provide, said, submit
from tests.strapi_server import Fault, Strapi, strapi

MakePost = Callable[..., Post]


@pytest.fixture
def servers(quick: Engine) -> Iterator[ExitStack]:
    """Servers of one test; stopped at its end."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def cms(servers: ExitStack) -> Strapi:
    return servers.enter_context(strapi())


@pytest.fixture
def photos(servers: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Photos:
    found = servers.enter_context(photo_services())
    monkeypatch.setattr(images, "PEXELS_URL", found.url)
    monkeypatch.setattr(images, "UNSPLASH_URL", found.url)
    return found


def at(make_post: MakePost, cms: Strapi, **changes: Any) -> Post:
    """A worker that publishes in `cms`."""
    site = {
        "strapi_url": cms.url,
        "strapi_api_token": cms.token,
        "strapi_public_url": "https://blog.test/{slug}",
    }
    return make_post(http_allow_private=True, **site | changes)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str | None]]:
    """Every progress that any attempt says."""
    heard: list[tuple[int, str | None]] = []
    real = Attempt.progress

    def progress(self: Attempt, percent: float, step: str | None = None) -> None:
        heard.append((int(percent), step))
        real(self, percent, step)

    monkeypatch.setattr(Attempt, "progress", progress)
    return heard


def test_a_click_ends_in_a_published_post_with_all_texts_and_entries_in_order(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos, steps: list[tuple[int, str | None]]
) -> None:
    provide(servers, "ollama9", *drafts(6.5, 8.2))
    pipeline("ollama9")
    post = at(make_post, cms, pexels_api_key=PEXELS_KEY)
    job_id = submit(tags=["queues"], target_length=300)

    assert attempt(post) is None

    row = job(job_id)
    result = row["result"]
    assert (row["status"], row["verdict"], row["quality_score"], row["progress"]) == (
        "completed",
        "passed",
        8.2,
        100,
    )
    texts = [text for _, text in steps]
    documented = [
        "Generating content…",
        "Initial draft generation - Ollama9:mistral",
        "Initial draft generated - score 6.5/10",
        "Refined draft 1 generation - Ollama9:mistral",
        "Refined draft 1 generated - score 8.2/10",
        "Content generated ✓",
        "Searching for images…",
        "Image found ✓",
        "Publishing to CMS…",
        "Published to Strapi ✓",
        "Complete!",
    ]
    assert [text for text in texts if text in documented] == documented
    at_percent = {text: percent for percent, text in steps}
    assert [at_percent[t] for t in ("Content generated ✓", "Image found ✓", "Published to Strapi ✓", "Complete!")] == [
        25, 50, 75, 100,
    ]  # fmt: skip
    assert [percent for percent, _ in steps] == sorted(percent for percent, _ in steps), "it never goes back"

    (public,) = cms.published
    assert public["title"] == "The night queue"
    assert public["content"].startswith("A queue works while you sleep")
    assert r"Photo by [Grace \[Hopper\]](https://www.pexels.com/@grace)" in public["content"]
    assert (public["tags"], public["featured_image"]) == (["queues"], 1)
    assert cms.files[0]["alternativeText"] == "A lamp at night"
    assert row["headline"] == {"text": "✓ Published", "url": f"https://blog.test/{public['slug']}"}

    kept = entries(job_id)
    assert kept["generation_complete"]["quality_score"] == 8.2
    assert kept["generation_complete"]["issues"] == ["A required pattern is missing"]
    assert kept["image_found"]["url"] == f"{photos.url}/pictures/1.jpg"
    assert kept["published"] == {
        "type": "published", "strapi_id": public["documentId"], "url": row["headline"]["url"],
    }  # fmt: skip

    assert result["strapi_post_id"] == result["strapi_id"] == public["documentId"]
    assert (result["published"], result["dry_run"], result["url"]) == (True, False, row["headline"]["url"])
    assert result["content"].startswith("# The night queue")
    assert result["model_used"] == "Ollama9 - mistral:latest"
    assert result["validation"] == {
        "attempts": result["validation_results"], "final_score": 8.2, "model": result["model_used"], "refinements": 1,
    }  # fmt: skip
    assert [(v["attempt"], v["score"], v["passed"]) for v in result["validation_results"]] == [
        (1, 6.5, False), (2, 8.2, True),
    ]  # fmt: skip
    assert (result["quality_score"], result["final_quality_score"]) == (8.2, 8.2)
    assert (result["generation_attempts"], result["refinement_attempts"]) == (2, 1)
    assert 0 < result["generation_time_seconds"] < 60
    assert result["metadata"]["topic"] == posting.TOPIC
    assert result["completed_at"]
    assert result["image"]["credit"] == "Photo by Grace [Hopper] on Pexels"


def test_the_agent_as_it_comes_with_callboard_improves_a_thin_draft_and_publishes_a_good_one(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    articles = ROOT / "examples" / "articles"
    texts = [(articles / name).read_text() for name in ("thin-draft.md", "night-shift.md")]
    provide(servers, "ollama9", *map(Say, texts))
    shipped = parse(posting.AGENT, (ROOT / "app/agents/catalog/content-pipeline.md").read_text())
    with db.transaction():
        gates.seed_builtin()
        registry.install(
            shipped.model_copy(update={"ours": shipped.ours.model_copy(update={"providers": ["ollama9"]})}),
            "test",
        )
    registry.forget()
    job_id = submit(topic="work queues for night shifts", target_length=430)
    attempt(at(make_post, cms))

    row = job(job_id)
    assert (row["status"], row["verdict"]) == ("completed", "passed")
    first, second = (validation["score"] for validation in row["result"]["validation_results"])
    assert first < 7 <= second
    assert row["result"]["quality"]["gate"]["name"] == "blog-post"
    (public,) = cms.published
    assert public["title"] == "What the night shift taught us about work queues"
    schema = shipped.ours.output or {}
    assert not list(Draft202012Validator(schema).iter_errors(row["result"]))


def test_what_was_wrong_is_told_to_the_model_with_its_draft(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    model = provide(servers, "ollama9", *drafts(6.5, 8.2))
    pipeline("ollama9")
    submit(primary_keyword="night queue", target_audience="small teams")
    attempt(at(make_post, cms))

    first, second = (
        [m["content"] for m in asked["messages"] if m["role"] == "user"][-1] for asked in model.asked
    )
    assert posting.TOPIC in first
    assert "night queue" in first
    assert "small teams" in first
    assert "✗ Content needs improvement (6.5/10, threshold: 7.0)" in second
    assert "A required pattern is missing" in second
    assert "A queue works while you sleep" in second


def test_a_post_that_never_passes_is_rejected_kept_with_its_best_draft_and_published_nowhere(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(6.4, 6.8, 6.5))
    pipeline("ollama9", gate=posting.gate(min_gain=0, refinements=2))
    job_id = submit()
    attempt(at(make_post, cms))

    row = job(job_id)
    assert (row["status"], row["verdict"], row["status_reason"]) == ("completed", "rejected", "rejected")
    assert (row["result"]["quality_score"], row["result"]["published"]) == (6.8, False)
    assert row["headline"] == {"text": "Rejected: not published"}
    assert [v["score"] for v in row["result"]["validation_results"]] == [6.4, 6.8, 6.5]
    assert (cms.published, cms.drafts, cms.asked) == ([], [], [])


def test_for_a_rejected_post_no_picture_is_looked_for(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos
) -> None:
    provide(servers, "ollama9", *drafts(6.5))
    pipeline("ollama9", gate=posting.gate(refinements=0))
    job_id = submit()
    attempt(at(make_post, cms, unsplash_access_key=UNSPLASH_KEY))

    assert photos.asked == []
    assert job(job_id)["result"]["publishing"] == "✗ Content needs improvement (6.5/10, threshold: 7.0)"


def test_a_rejected_post_is_published_where_the_job_asks_for_it_and_says_so(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(6.5))
    pipeline("ollama9", gate=posting.gate(refinements=0))
    job_id = submit(publish_below_threshold=True)
    attempt(at(make_post, cms))

    row = job(job_id)
    assert len(cms.published) == 1
    assert (row["verdict"], row["result"]["published"]) == ("rejected", True)
    assert row["headline"]["text"] == "✓ Published below the threshold"
    assert "publish_below_threshold" in row["result"]["publishing"]


def test_a_rejected_post_is_kept_as_a_draft_of_the_cms_where_the_job_asks_for_it(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(6.5))
    pipeline("ollama9", gate=posting.gate(refinements=0))
    job_id = submit(keep_rejected_as_draft=True)
    attempt(at(make_post, cms))

    row = job(job_id)
    (draft,) = cms.drafts
    assert cms.published == []
    assert row["headline"] == {"text": "Rejected: kept as a draft"}
    assert (row["result"]["strapi_id"], row["result"]["published"]) == (draft["documentId"], False)


@pytest.mark.parametrize(("pexels", "unsplash"), [(0, 0), (500, 429), (403, 401)])
def test_without_a_picture_the_post_goes_on_with_a_warning(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos, pexels: int, unsplash: int
) -> None:
    photos.pexels, photos.unsplash = pexels, unsplash
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id = submit()
    attempt(at(make_post, cms, pexels_api_key=PEXELS_KEY, unsplash_access_key=UNSPLASH_KEY))

    assert (job(job_id)["status"], len(cms.published), cms.files) == ("completed", 1, [])
    assert "Image found ✓" not in said(job_id)
    assert "image_missing" in entries(job_id)
    assert job(job_id)["result"]["image"] is None
    assert photos.paths == ["/v1/search", "/search/photos"]


def test_a_picture_of_unsplash_stays_at_its_place_is_credited_and_its_use_is_told(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos
) -> None:
    photos.pexels = 0
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id = submit()
    attempt(at(make_post, cms, pexels_api_key=PEXELS_KEY, unsplash_access_key=UNSPLASH_KEY))

    (public,) = cms.published
    assert public["content"].startswith(f"![a desk with papers]({photos.url}/hot/u1.jpg)")
    assert (
        "[Ada Lovelace](https://unsplash.com/@ada?utm_source=callboard&utm_medium=referral)"
        in public["content"]
    )
    assert cms.files == []
    assert photos.paths == ["/v1/search", "/search/photos", "/photos/u1/download"]
    assert entries(job_id)["image_found"]["url"] == f"{photos.url}/hot/u1.jpg"


def test_a_picture_that_is_none_is_not_uploaded(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos
) -> None:
    photos.media_type = "text/html"
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id = submit()
    attempt(at(make_post, cms, pexels_api_key=PEXELS_KEY))

    (public,) = cms.published
    assert cms.files == []
    assert "Photo by" not in public["content"]
    assert "text/html" in "\n".join(said(job_id))


def test_without_keys_for_pictures_the_stage_says_that_it_is_skipped(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id = submit()
    attempt(at(make_post, cms))

    assert entries(job_id)["image_skipped"]
    assert "Searching for images…" not in said(job_id)


def test_the_second_provider_takes_over_and_is_named(
    make_post: MakePost, servers: ExitStack, cms: Strapi, steps: list[tuple[int, str | None]]
) -> None:
    provide(servers, "alpha9", Refuse(503, "server_error", "overloaded"))
    provide(servers, "beta9", *drafts(8.2))
    pipeline("alpha9", "beta9")
    job_id = submit()
    attempt(at(make_post, cms))

    texts = [text for _, text in steps]
    first, second = (
        texts.index(f"Initial draft generation - {name}:mistral") for name in ("Alpha9", "Beta9")
    )
    assert first < second
    assert job(job_id)["result"]["model_used"] == "Beta9 - mistral:latest"
    assert len(cms.published) == 1


def test_without_a_cms_nothing_is_published_and_nobody_says_so(
    make_post: MakePost, servers: ExitStack, steps: list[tuple[int, str | None]]
) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id = submit()
    attempt(make_post())

    row = job(job_id)
    assert row["headline"] == {"text": "Dry run: not published"}
    assert (row["result"]["dry_run"], row["result"]["published"], row["result"]["strapi_id"]) == (
        True,
        False,
        None,
    )
    assert "STRAPI_URL" in row["result"]["publishing"]
    assert not [text for _, text in steps if text and text.startswith("Published")]
    assert entries(job_id).keys() >= {"generation_complete", "dry_run"}


def test_without_a_model_there_is_an_outline_that_says_so_and_is_never_published(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    pipeline(
        "nobody9", gate={"checks": [{"check": "length"}, {"check": "examples"}], "otherwise": "rejected"}
    )
    job_id = submit(publish_below_threshold=True)
    attempt(at(make_post, cms))

    row = job(job_id)
    assert (row["status"], row["verdict"]) == ("completed", "rejected")
    assert row["result"]["produced_by"] == row["result"]["model_used"] == "offline outline, no model"
    assert row["result"]["generation_attempts"] == 1
    assert row["headline"] == {"text": "Dry run: not published"}
    assert cms.asked == []


def test_an_answer_that_was_cut_off_is_marked(make_post: MakePost, servers: ExitStack) -> None:
    provide(servers, "ollama9", Limited(posting.write(8.2)))
    pipeline("ollama9")
    job_id = submit()
    attempt(make_post())

    assert job(job_id)["result"]["truncated"] is True


@pytest.mark.parametrize("stage", ["image", "publish", "finalize"])
def test_an_attempt_goes_on_after_the_last_finished_stage(
    make_post: MakePost,
    servers: ExitStack,
    cms: Strapi,
    photos: Photos,
    monkeypatch: pytest.MonkeyPatch,
    stage: str,
) -> None:
    from actors.runners import pipeline as runner

    model = provide(servers, "ollama9", *drafts(6.5, 8.2))
    pipeline("ollama9")
    job_id, post = submit(), at(make_post, cms, pexels_api_key=PEXELS_KEY)
    broken = next(each for each in runner.STAGES if each.name == stage)
    with monkeypatch.context() as patch:
        patch.setattr(type(broken), "run", lambda *_: 1 / 0)
        assert attempt(post) is not None
    assert job(job_id)["status"] == "retry"

    row = attempts(post, job_id)

    assert (row["status"], row["verdict"], row["quality_score"]) == ("completed", "passed", 8.2)
    assert len(model.asked) == 2, "no draft was made twice"
    assert photos.paths.count("/v1/search") == 1
    assert len(cms.published) == 1
    assert len(cms.files) == 1
    before = [each.name for each in runner.STAGES][: [each.name for each in runner.STAGES].index(stage)]
    assert f"Going on after: {', '.join(before)}" in said(job_id)


def test_a_failed_job_that_is_run_again_by_hand_goes_on_where_it_stopped(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    model = provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id, post = submit(), at(make_post, cms, strapi_api_token="wrong")
    attempt(post)
    assert job(job_id)["status"] == "failed"

    with db.transaction():
        again = intake.again(job_id, by=acting.OWNER)["job_id"]
    attempt(at(make_post, cms))

    assert (job(again)["status"], job(again)["verdict"]) == ("completed", "passed")
    assert len(model.asked) == 1
    assert len(cms.published) == 1


def test_run_again_with_another_topic_it_is_another_post(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    with db.transaction():
        same = intake.again(job_id, by=acting.OWNER)["job_id"]
        other = intake.again(job_id, by=acting.OWNER, parameters={"topic": "Day queues"})["job_id"]
    attempt(post)
    attempt(post)

    first, second, third = (job(each)["result"]["strapi_id"] for each in (job_id, same, other))
    assert first == second, "the same wishes of the same chain are one post"
    assert third != first
    assert len(cms.published) == 2


def test_a_post_that_stands_with_another_text_is_not_called_the_new_one(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(
        servers, "ollama9", *drafts(8.2), Say(posting.write(8.4, title="Another title", body="Another text."))
    )
    pipeline("ollama9")
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    with db.transaction():
        again = intake.again(job_id, by=acting.OWNER)["job_id"]
    attempt(post)

    (public,) = cms.published
    assert "Another text." not in public["content"]
    result = job(again)["result"]
    assert "Another text." in result["content"]
    assert result["headline"]["text"] == "✓ Published before, with another text"
    assert result["headline"]["url"] == result["url"] == job(job_id)["result"]["url"]
    assert "stays as it is" in result["publishing"]
    assert "Published to Strapi ✓" not in said(again)


def test_a_picture_that_could_not_be_uploaded_is_not_said_to_be_used(
    make_post: MakePost, servers: ExitStack, cms: Strapi, photos: Photos
) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    cms.fail(Fault(status=413), "POST", "/api/upload")
    job_id = submit()
    attempt(at(make_post, cms, pexels_api_key=PEXELS_KEY))

    (public,) = cms.published
    assert "featured_image" not in public
    assert "Photo by" not in public["content"]
    assert (job(job_id)["status"], job(job_id)["result"]["image"]) == ("completed", None)
    assert "413" in entries(job_id)["image_missing"]["error"]


def answered(job_id: str, decision: str, **more: Any) -> None:
    """An admin answers the one open question of a job."""
    admin = Principal(user_id="u-admin", email="ada@example.com", role="admin")
    with db.transaction():
        question = db.value(
            "SELECT approval_id::text FROM approvals WHERE job_id = %(id)s AND status = 'open'", id=job_id
        )
        asking.answer(question, decision=decision, by=admin, **more)  # type: ignore[arg-type]


def test_a_policy_is_asked_before_anything_is_sent_and_once(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    model = provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    with db.transaction():
        policies.create(by=None, name="Whatever is published", effects=["publish"])
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    with db.quick():
        question, shown = db.row(  # type: ignore[union-attr]
            "SELECT question, shown FROM approvals WHERE job_id = %(id)s", id=job_id
        ).values()
    assert job(job_id)["status"] == "awaiting_input"
    assert question == "Publish “The night queue”?"
    assert (shown["what"]["title"], shown["what"]["score"]) == ("The night queue", 8.2)
    assert "# The night queue" in shown["what"]["draft"]["text"]
    assert shown["what"]["quality"]["feedback"] == "✓ Content approved (8.2/10, threshold: 7.0)"
    assert cms.asked == [], "nothing was sent"

    cms.fail(Fault(status=503), "POST", "/api/articles")
    answered(job_id, "approve")
    row = attempts(post, job_id)

    assert row["status"] == "completed"
    assert (len(cms.published), len(model.asked)) == (1, 1)
    with db.quick():
        assert db.value("SELECT count(*) FROM approvals WHERE job_id = %(id)s", id=job_id) == 1


def test_a_no_publishes_nothing(make_post: MakePost, servers: ExitStack, cms: Strapi) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    pipeline("ollama9")
    with db.transaction():
        policies.create(by=None, name="Whatever is published", effects=["publish"])
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    answered(job_id, "reject", comment="Not this week.")
    failed = attempt(post)

    assert failed is not None
    assert failed.error.code == "not_permitted"
    assert (job(job_id)["status"], cms.asked) == ("failed", [])


def test_what_a_person_made_of_a_draft_is_what_is_published(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(6.5))
    pipeline("ollama9", gate=posting.gate(refinements=0, otherwise="needs_review"))
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    assert job(job_id)["status"] == "awaiting_input"
    answered(job_id, "edit", edited="# Better by hand\n\nA person wrote this whole paragraph.")
    attempt(post)

    (public,) = cms.published
    assert (public["title"], public["content"]) == ("Better by hand", "A person wrote this whole paragraph.")
    row = job(job_id)
    assert (row["verdict"], row["result"]["quality"]["decided_by"]) == ("passed", "ada@example.com")
    assert [v["source"] for v in row["result"]["validation_results"]] == ["agent", "person"]


def test_a_person_may_let_through_what_no_check_could_judge(
    make_post: MakePost, servers: ExitStack, cms: Strapi
) -> None:
    provide(servers, "ollama9", *drafts(8.2))
    skipped = {"check": "command", "argv": ["no-such-program"], "on_error": "skip"}
    pipeline("ollama9", gate={"otherwise": "rejected", "checks": [skipped]})
    job_id, post = submit(), at(make_post, cms)
    attempt(post)
    assert job(job_id)["status"] == "awaiting_input"
    assert cms.published == []
    answered(job_id, "approve")
    attempt(post)

    row = job(job_id)
    assert (row["status"], row["verdict"], row["quality_score"]) == ("completed", "passed", None)
    assert row["result"]["quality_score"] is None
    assert row["headline"]["text"] == "✓ Published"
