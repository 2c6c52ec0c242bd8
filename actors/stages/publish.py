"""The post into the CMS, once.

Strapi has no idempotency key of its own, so a post carries one in a field: whoever publishes looks for it first, creates
a draft if there is none, looks again, and then everybody who looks sees the same posts and keeps the same one: what is
public before what is not, then the oldest. All others of the key are deleted, and that one is published. So two workers
at once, or one that comes back from the dead, end with one post.
"""

from __future__ import annotations

from actors.clients.images import KINDS, Image, Images
from actors.clients.strapi import Account, Gone, Post, Refused, Strapi
from actors.runners.base import JSON
from actors.stages.base import Run
from app.content import texts
from app.content.article import Article
from app.content.slug import slug
from app.errors import JobError, PermanentError, TemporaryError

BEGINS, ENDS = 50, 75
ROUNDS = 5
SHOWN_TEXT = 20_000
"""Characters of the post that whoever permits it is shown; all of it stands in the job's drafts."""
SHOWN_QUALITY = ("score", "threshold", "passed", "issues", "feedback")
AS_TEXT = ":text"
LOST = (
    "Strapi does not find the post that it just made, so that it might be published twice: the content type needs the "
    "field of STRAPI_KEY_FIELD or the slug that STRAPI_FIELDS names, and nothing before Strapi may drop filters."
)
NO_CMS = "STRAPI_URL is not set"
NO_MODEL = "no model wrote it"


class Publish:
    """Brings the chosen draft to where it belongs: to the public, into a drawer, or nowhere."""

    name = "publish"

    def run(self, run: Run) -> JSON:
        """The keys of app.content.result.Outcome, and `image` as it was used."""
        run.context.stage(self.name, texts.PUBLISHING)
        run.say(BEGINS, texts.PUBLISHING)
        made, account = run.made, Account.of(run.services.get("strapi") or {})
        if made.facts.get("produced_by") == texts.OFFLINE or account is None:
            return self._dry_run(run, NO_CMS if account is None else NO_MODEL)
        if not run.leaves_us:
            return self._rejected(run)
        public = made.passed or run.brief.publish_below_threshold
        self._demand_leave(run, public=public)
        desk = Desk(run, account)
        post, image = desk.settle(public=public)
        if desk.stands:
            return self._stands(run, account, post)
        return self._settled(run, account, post, image, public=public)

    def _dry_run(self, run: Run, why: str) -> JSON:
        text = f"{texts.HEADLINE_DRY_RUN} ({why})"
        run.log(text, "strapi", "dry_run", reason=why)
        run.say(ENDS, text)
        return {"dry_run": True, "why": why, "slug": slug(run.made.article.title, run.key)}

    def _rejected(self, run: Run) -> JSON:
        made = run.made
        by = made.quality.get("decided_by")
        why = f"{by} said no" if by else str(made.quality.get("feedback"))
        run.log(f"{texts.HEADLINE_REJECTED}: {why}", "strapi", "rejected", quality_score=made.score)
        run.say(ENDS, texts.HEADLINE_REJECTED)
        return {"why": why, "slug": slug(made.article.title, run.key)}

    def _demand_leave(self, run: Run, *, public: bool) -> None:
        """Policies may want a person to say yes; what they are shown is the same in every attempt, or they are asked anew."""
        made = run.made
        if "asked" not in run.notes:
            shown = {
                "title": made.article.title,
                "excerpt": made.article.excerpt,
                "score": made.score,
                "passed": made.passed,
                "used": made.used,
                "draft": {"text": made.article.content[:SHOWN_TEXT]},
                "quality": {name: made.quality.get(name) for name in SHOWN_QUALITY},
            }
            run.note(asked=shown)
        verb = "Publish" if public else "Keep as an unpublished draft"
        run.context.permit("publish", f"{verb} “{made.article.title}”?", shown=run.notes["asked"])

    def _stands(self, run: Run, account: Account, post: Post) -> JSON:
        """The post of this key was public before, and says something else than our draft."""
        url = account.address(post)
        run.log(texts.HEADLINE_STANDS, "strapi", "stands", strapi_id=post.ref, url=url)
        run.say(ENDS, texts.HEADLINE_STANDS)
        slug_ = post.fields.get(account.fields.get("slug", ""))
        return {
            "published": True,
            "stands": True,
            "why": texts.STANDS,
            "post_id": post.ref,
            "url": url,
            "slug": slug_,
            "image": None,
        }

    def _settled(self, run: Run, account: Account, post: Post, image: Image | None, *, public: bool) -> JSON:
        made = run.made
        # The address of what is not public leads readers nowhere.
        url = account.address(post) if post.published else None
        known = {"strapi_id": post.ref, "url": url}
        if post.published:
            run.log(texts.PUBLISHED, "strapi", "published", **known)
            run.say(ENDS, texts.PUBLISHED)
        else:
            run.log(texts.HEADLINE_DRAFT, "strapi", "drafted", **known)
            run.say(ENDS, texts.HEADLINE_DRAFT)
        below = public and not made.passed
        return {
            "published": post.published,
            "why": "below the threshold, as the job asked for (publish_below_threshold)" if below else None,
            "post_id": post.ref,
            "url": url,
            "slug": post.fields.get(account.fields.get("slug", "")) or slug(made.article.title, run.key),
            "image": image.document() if image else None,
        }


class Desk:
    """One post on its way into one account."""

    def __init__(self, run: Run, account: Account) -> None:
        """Nothing is called yet."""
        self.run, self.account = run, account
        self.cms = Strapi(account, run.context.stop_due)
        self.stands = False
        """The post was public before, with another text; it is left as it is."""

    def settle(self, *, public: bool) -> tuple[Post, Image | None]:
        """Make it so that there is exactly one post of our key, published if `public`; answers it and its picture."""
        found, image, file_id = self.cms.posts(self.run.key), self._image(), self.run.notes.get("file_id")
        if found and self._kept(found).published:
            self.run.context.log("The post is in the CMS already", source="strapi", type="found")
            self.stands = not self._says_ours(self._kept(found))
        else:
            file_id = self._uploaded(image)
        image = image if self._has_place(image, file_id) else None
        data = self._data(image, file_id)
        for _ in range(ROUNDS):
            if found := found or self._created(data):
                self._tidy(found, data, public=public)
                found = self.cms.posts(self.run.key)
            if len(found) == 1 and (found[0].published or not public):
                return found[0], image
        raise TemporaryError("Somebody else keeps changing the posts with this key in the CMS.")

    def _created(self, data: JSON) -> list[Post]:
        """A draft, and all posts of our key as they are after that."""
        self.run.context.checkpoint_due()
        try:
            post = self.cms.create(data, self.run.key)
        except Refused as refused:
            self._demand_rival(refused)
            return self.cms.posts(self.run.key)
        self.run.context.log(f"Created the draft {post.ref}", source="strapi")
        found = self.cms.posts(self.run.key)
        if not found:  # nobody would find it again, and each attempt would make another one
            self.cms.delete(post)
            raise PermanentError(LOST)
        return found

    def _tidy(self, found: list[Post], data: JSON, *, public: bool) -> None:
        """Leave one post, in its state; another worker at the same post may come in between, and is no error."""
        try:
            self._alone(found, data, public=public)
        except Gone:
            return
        except Refused as refused:
            self._demand_rival(refused)

    def _demand_rival(self, refused: Refused) -> None:
        """Raise what was refused, unless it is our own key or slug that is taken: then another worker was faster."""
        own = {self.account.key_field, self.account.fields.get("slug")}
        if not (refused.taken and own & set(refused.names)):
            raise refused

    def _alone(self, found: list[Post], data: JSON, *, public: bool) -> None:
        """Delete all but one of the posts, and bring that one into its state."""
        kept = self._kept(found)
        for other in found:
            if other.ref != kept.ref:
                self.run.context.checkpoint_due()
                self.run.context.log(f"Deleting the duplicate {other.ref}", level="warning", source="strapi")
                self.cms.delete(other)
        if kept.published:
            return
        self.run.context.checkpoint_due()
        if public:
            self.cms.publish(kept, data)
        else:
            self.cms.rewrite(kept, data)

    @staticmethod
    def _kept(found: list[Post]) -> Post:
        return min(found, key=lambda post: (not post.published, post.id))

    def _says_ours(self, post: Post) -> bool:
        name = self.account.fields.get("content", "").removesuffix(AS_TEXT)
        return self.run.made.article.body in str(post.fields.get(name, ""))

    # -- what is sent

    def _has_place(self, image: Image | None, file_id: int | None) -> bool:
        """Whether readers will see it: in the library, by its address in a field, or in the text."""
        shows_url = "image_url" in self.account.fields
        return image is not None and (file_id is not None or shows_url or not image.may_be_copied)

    def _image(self) -> Image | None:
        kept = (self.run.done.get("image") or {}).get("image")
        return Image.of(kept) if kept else None

    def _uploaded(self, image: Image | None) -> int | None:
        """The picture's id in the media library, if it may be there and the content type has a place for it."""
        if image is None or not image.may_be_copied or "image" not in self.account.fields:
            return None
        if "file_id" in self.run.notes:
            return int(self.run.notes["file_id"])
        try:
            content, media_type = self._images().download(image)
            self.run.context.checkpoint_due()
            name = f"{slug(self.run.brief.topic, self.run.key)}.{KINDS[media_type]}"
            file_id = self.cms.upload(name, content, media_type, alt=image.alt, caption=image.credit)
        except JobError as error:
            self.run.context.checkpoint_due()  # a stop is no failure of the picture
            self.run.context.log(
                f"The picture could not be uploaded, going on without: {error.message}",
                level="warning",
                source="strapi",
                type="image_missing",
                error=error.message,
            )
            return None
        self.run.note(file_id=file_id)
        return file_id

    def _images(self) -> Images:
        private = bool(self.run.work.config.get("http_allow_private"))
        return Images(pexels_key="", unsplash_key="", context=self.run.context, allow_private=private)

    def _data(self, image: Image | None, file_id: int | None) -> JSON:
        """The post's fields, by the names of the content type."""
        article = self.run.made.article
        values = {
            "title": article.title,
            "content": body(article, image, file_id, shows_url="image_url" in self.account.fields),
            "excerpt": article.excerpt,
            "slug": slug(article.title, self.run.key),
            "tags": list(article.tags),
            "category": self.run.brief.category,
            "seo_title": article.seo_title,
            "seo_description": article.seo_description,
            "image": file_id,
            "image_url": image.url if image else None,
            "image_alt": image.alt if image else None,
            "image_credit": image.credit if image else None,
        }
        return named(values, self.account.fields)


def named(values: JSON, fields: dict[str, str]) -> JSON:
    """What there is to say under the content type's names; a list as text where the name ends in `:text`."""
    data: JSON = {}
    for ours, theirs in fields.items():
        value = values.get(ours)
        if value is None:
            continue
        as_text = theirs.endswith(AS_TEXT) and isinstance(value, list)
        data[theirs.removesuffix(AS_TEXT)] = ", ".join(value) if as_text else value
    return data


def body(article: Article, image: Image | None, file_id: int | None, *, shows_url: bool) -> str:
    """The text as it is published: with the picture on top where no field takes it, and its credit at the end."""
    if image is None:
        return article.body
    on_top = file_id is None and not shows_url
    alt = image.alt.replace("[", "(").replace("]", ")")
    parts = [f"![{alt}]({image.url})"] if on_top else []
    return "\n\n".join([*parts, article.body, f"*{image.credit_markdown}*"])
