"""social-media-manager: turns a text into posts that fit a platform, with hashtags from its keywords."""

from __future__ import annotations

import orjson

from actors.builtin import places
from actors.builtin.text import markdown
from actors.builtin.text.posts import PLATFORMS, Platform, hashtags, length, posts
from actors.runners.base import JSON, Context, Health, Work
from app.quality.text.sentences import clean, one_line, plain


def health() -> Health:
    """Always ready: nothing but Python is needed."""
    return Health()


def run(work: Work, context: Context) -> JSON:
    """Cut the text into posts within the platform's limit; nothing is sent anywhere."""
    parameters = work.parameters
    platform = PLATFORMS[str(parameters["platform"])]
    text = plain(clean(str(parameters["content"]))).strip()
    if not text:
        places.refuse("content", "There is nothing to post. Give the text as `content`.")
    context.stage("hashtags", "Choosing hashtags")
    tags = _tags(parameters, platform, text)
    context.log(f"Hashtags: {' '.join(tags) or 'none'}")
    context.checkpoint_due()
    context.stage("write", f"Writing for {platform.title}")
    context.progress(50, "Cutting the text into posts")
    written = posts(text, platform, tags, link=str(parameters.get("link") or ""))
    most = int(parameters.get("max_posts") or 25)
    if len(written) > most:
        context.log(f"The text needs {len(written)} posts; kept the first {most}.", level="warning")
    return _result(platform, written[:most], tags, len(written), context)


def _tags(parameters: JSON, platform: Platform, text: str) -> list[str]:
    """The hashtags given, or the best of the text, at most what the platform bears."""
    most = int(parameters.get("hashtag_count", platform.hashtags))
    given = [one_line(str(tag), 60) for tag in parameters.get("hashtags") or []]
    return hashtags(text, most, given)


def _result(platform: Platform, written: list[str], tags: list[str], needed: int, context: Context) -> JSON:
    """The posts with their lengths; as posts.md to copy from and posts.json to send from."""
    document = [
        {"text": post, "characters": length(post, platform), "limit": platform.limit} for post in written
    ]
    for at, post in enumerate(document, 1):
        context.log(f"Post {at}: {post['characters']} of {platform.limit} characters")
    report = _report(platform, written)
    context.artifact("posts.md", "\n\n---\n\n".join(written).encode(), "text/markdown")
    context.artifact("posts.json", orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json")
    context.progress(100, "Done")
    return {
        "summary": f"{markdown.count(len(written), 'post')} for {platform.title}"
        + (f", the first of {needed}" if needed > len(written) else "")
        + f", with {markdown.count(len(tags), 'hashtag')}.",
        "platform": platform.name,
        "posts": document,
        "content": written[0],
        "hashtags": tags,
        "needed_posts": needed,
        "file_path": "posts.md",
        "report": report,
    }


def _report(platform: Platform, written: list[str]) -> str:
    parts = [f"# {platform.title}: {markdown.count(len(written), 'post')}"]
    for at, post in enumerate(written, 1):
        quoted = "\n".join(
            f"> {markdown.escape(line, 3_200)}" if line.strip() else ">" for line in post.split("\n")
        )
        parts += [f"## Post {at} ({length(post, platform)} of {platform.limit} characters)", quoted]
    return markdown.report(parts)
