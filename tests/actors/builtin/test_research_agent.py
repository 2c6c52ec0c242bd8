from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from actors.builtin import research_agent
from actors.runners.base import Work
from app.errors import Cancelled, PermanentError
from app.quality.text.sentences import plain
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "research-agent"
PAGE = b"""<!doctype html><title>On tides</title><nav>Menu of the site</nav><script>var stolen = 1</script>
<p>The tide rises twice a day in most harbours of the world. Ships wait for high water because the channel is
shallow. A tide table tells the skipper when to leave the harbour.</p>"""


@pytest.fixture
def site() -> Iterator[str]:
    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header(
                "Content-Type", "image/png" if self.path == "/picture" else "text/html; charset=utf-8"
            )
            self.send_header("Content-Length", str(len(PAGE)))
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetching(desk: Desk, url: str, *, allowed: bool) -> Work:
    return Work(
        job_id="job", attempt=1, agent_id=AGENT, parameters={"topic": "tide", "urls": [url]},
        config={"workspace_roots": [str(desk.root)], "http_allow_private": allowed},
        timeout_seconds=60, soft_seconds=50, memory_mb=512, idempotency_key="job:1",
    )  # fmt: skip


def test_the_example_quotes_the_articles_word_for_word_with_their_source(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    assert len(result["sentences"]) == 10
    assert result["on_topic"]
    texts = {
        source["name"]: " ".join(plain((EXAMPLES / "articles" / source["name"]).read_text()).split())
        for source in result["sources"]
    }
    names = {source["number"]: source["name"] for source in result["sources"]}
    for sentence in result["sentences"]:
        assert sentence["text"] in texts[names[sentence["source"]]]
    assert result["keywords"][0]["phrase"] in ("job", "jobs", "queue")
    assert result["questions"]


def test_the_summary_is_kept_with_citations_and_the_list_of_sources(desk: Desk) -> None:
    result = desk.run(AGENT, topic="queues", files=["examples/articles/retries.txt"], depth="short")

    summary = desk.context.artifacts["summary.md"].decode()
    assert summary == result["report"]
    assert summary.count("\\[1\\]") >= 5
    assert "1. When to try again (retries.txt)" in summary
    assert desk.context.percents[-1] == 100


@pytest.mark.parametrize(("depth", "most"), [("short", 5), ("normal", 10), ("long", 20)])
def test_depth_says_how_much_is_quoted(desk: Desk, depth: str, most: int) -> None:
    assert len(desk.run(AGENT, topic="queues", files=["examples/articles"], depth=depth)["sentences"]) == most


def test_sentences_on_the_topic_are_preferred(desk: Desk) -> None:
    filler = " ".join(
        f"The garden of house {n} has many green plants and a wooden fence around it." for n in range(40)
    )
    text = f"{filler} The lighthouse keeper counts the passing ships every evening before sunset."
    result = desk.run(AGENT, topic="lighthouse ships", texts=[text], depth="short")
    assert any("lighthouse keeper" in sentence["text"] for sentence in result["sentences"])


def test_a_topic_nobody_wrote_about_is_said_not_hidden(desk: Desk) -> None:
    result = desk.run(AGENT, topic="volcanoes", files=["examples/articles"])
    assert not result["on_topic"]
    assert "do not mention the topic" in result["summary"]
    assert any(line["level"] == "warning" for line in desk.context.logs)


def test_scripts_navigation_and_markup_of_pages_are_left_out(desk: Desk) -> None:
    desk.write({"page.html": PAGE.decode()})
    result = desk.run(AGENT, topic="tide", files=["page.html"])
    assert result["sources"][0]["title"] == "On tides"
    assert "stolen" not in result["report"]
    assert "Menu of the site" not in result["report"]
    assert len(result["sentences"]) == 3


def test_text_that_looks_like_markup_is_harmless_in_the_report(desk: Desk) -> None:
    text = "The <img src=x onerror=alert(1)> queue keeps [every](javascript:alert(1)) job until it is done today."
    report = desk.run(AGENT, topic="<b>queue</b>", texts=[text])["report"]
    assert "<img" not in report
    assert "<b>" not in report


def test_a_page_is_fetched_from_a_local_server_if_that_is_allowed(desk: Desk, site: str) -> None:
    result = research_agent.run(fetching(desk, f"{site}/tides", allowed=True), desk.context)
    assert result["sources"][0]["title"] == "On tides"


def test_a_page_that_is_a_picture_is_refused(desk: Desk, site: str) -> None:
    with pytest.raises(PermanentError, match="image/png, not a page of text"):
        research_agent.run(fetching(desk, f"{site}/picture", allowed=True), desk.context)


def test_a_private_address_is_refused(desk: Desk, site: str) -> None:
    with pytest.raises(PermanentError):
        research_agent.run(fetching(desk, site, allowed=False), desk.context)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "articles/\u202etxt.exe", "a\x00b"])
def test_paths_out_of_the_roots_are_the_submitters_mistake(desk: Desk, path: str) -> None:
    with pytest.raises(PermanentError) as caught:
        desk.run(AGENT, topic="users", files=[path])
    assert caught.value.user_error


def test_links_in_a_folder_are_not_followed_out_of_it(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("The secret of the house is written on the wall of the cellar.")
    desk.write({"notes/a.txt": "The harbour opens its gates for every ship at seven in the morning."})
    (desk.root / "notes" / "b.txt").symlink_to(tmp_path / "secret.txt")
    result = desk.run(AGENT, topic="secret", files=["notes"])
    assert [source["name"] for source in result["sources"]] == ["a.txt"]


def test_binary_and_oversized_files_are_refused(desk: Desk) -> None:
    (desk.root / "a.txt").write_bytes(b"PK\x03\x04\x00\x00")
    (desk.root / "b.txt").write_bytes(b"word " * 500_000)
    for name in ("a.txt", "b.txt"):
        with pytest.raises(PermanentError) as caught:
            desk.run(AGENT, topic="words", files=[name])
        assert caught.value.user_error


def test_nothing_to_read_is_refused_at_the_door_and_inside(desk: Desk) -> None:
    with pytest.raises(jsonschema.ValidationError, match="'files' is a required property"):
        desk.run(AGENT, topic="queues")
    desk.write({"empty/a.md": "\n\n"})
    with pytest.raises(PermanentError, match="nothing to read"):
        desk.run(AGENT, topic="queues", files=["empty"])


def test_hostile_markup_and_huge_texts_are_read_in_bounded_time(desk: Desk) -> None:
    desk.context.timeout_seconds = 60
    desk.write({
        "deep.html": "<div>" * 300_000 + "The deep page still has one whole sentence in it.",
        "open.html": "<p>A page with many unclosed comments keeps its text here." + "<!--" * 100_000,
        "long.txt": "word " * 300_000,
        "spaces.txt": "Every job is kept until it is done." + " \n" * 400_000 + "*" * 300_000,
    })  # fmt: skip
    texts = [
        f"Sentence {n} tells of queue {n % 97} and worker {n % 31} in harbour {n % 7}." for n in range(20_000)
    ]
    result = desk.run(
        AGENT,
        topic="queue",
        files=["deep.html", "open.html", "long.txt", "spaces.txt"],
        texts=[" ".join(texts)[:200_000]],
    )
    assert result["sentences"]
    assert desk.context.remaining_seconds > 0
    assert len(result["report"].encode()) <= 20_000


def test_it_stops_when_asked_to(desk: Desk) -> None:
    desk.context.cancel_at_progress = 50
    with pytest.raises(Cancelled):
        desk.run(AGENT, topic="queues", files=["examples/articles"])
