"""What a quality gate is: a list of checks, each with weight and threshold, and what follows from their score.

    title: Blog post
    of: content                  # the text within the result; left out: content, report, result, text … whichever is there
    threshold: 7.0
    refinements: 3
    otherwise: rejected          # or needs_review: ask a person
    checks:
      - check: length            # kind; its options are flat keys beside it
        weight: 2
        mode: blocking
        threshold: 3
        min_words: 300

Reading one (`Gate.read`) says of every mistake where it is; docs/quality.md lists kinds, keys and defaults.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from jsonschema import Draft202012Validator, SchemaError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from app import schemas
from app.errors import Invalid

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
THRESHOLD = 7.0
REFINEMENTS = 3
MIN_GAIN = 0.3
WORKER_ONLY = frozenset({"command", "http", "judge"})
"""Kinds that run something or call somebody: workers make them, everything else is worked out at once."""


def _linear(pattern: str) -> str:
    """A pattern that RE2 takes: the time it needs grows with the text only."""
    if why := schemas.why_not_linear(pattern):
        raise ValueError(f"not a pattern of RE2: {why}")
    return pattern


def _without_password(url: str) -> str:
    """An address that says nothing but where: gates are shown to everybody who may submit."""
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise ValueError("must not hold a user or password; use a header with {{secret.NAME}}")
    return url


def _schema(schema: dict[str, Any]) -> dict[str, Any]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as wrong:
        raise ValueError(f"not a JSON Schema: {wrong.message[:300]}") from wrong
    schemas.demand_whole(schema)
    schemas.demand_linear(schema)
    return schema


Path = Annotated[str, StringConstraints(pattern=r"^[^.\x00]{1,100}(\.[^.\x00]{1,100}){0,9}$")]
"""Names with dots between them: `report.summary`, `pages.0.text`."""
Phrase = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Phrases = Annotated[tuple[Phrase, ...], Field(max_length=200)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=1000), AfterValidator(_linear)]
Patterns = Annotated[tuple[Pattern, ...], Field(max_length=50)]
Schema = Annotated[dict[str, Any], AfterValidator(_schema)]
Words = Annotated[int, Field(ge=0, le=1_000_000)]
Share = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=10)]
People = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=320)], ...], Field(max_length=50)
]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,200}$")]
HeaderValue = Annotated[str, StringConstraints(max_length=2000, pattern=r"^[\t\x20-\x7e]*$")]
Minutes = Annotated[float, Field(gt=0, le=525_600)]


class CheckSpec(BaseModel):
    """One check of a gate; what its kind takes besides are fields of the kind's own class."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    usual_threshold: ClassVar[float | None] = None
    """For kinds whose score says more than whether they found an issue."""

    check: str
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)] = ""
    """How reports call it; left out, its kind."""
    weight: float = Field(1.0, ge=0, le=100)
    threshold: Score | None = None
    """What it must reach to have passed; None: it must have no issue."""
    mode: Literal["advisory", "blocking"] = "advisory"
    """blocking: without it nothing passes, whatever the score."""
    on_error: Literal["retry", "skip", "fail"] = "retry"
    """What follows if it could not be made; that is never a low score."""
    of: Path | None = None
    """What of the result it looks at, if that is not the gate's `of`."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, keys: Any) -> Any:
        if isinstance(keys, dict) and not keys.get("name") and isinstance(keys.get("check"), str):
            return {**keys, "name": keys["check"]}
        return keys

    @property
    def kind(self) -> str:
        """The same as `check`."""
        return self.check

    @property
    def is_pure(self) -> bool:
        """Worked out from the text alone: no process, no network, no model."""
        return self.check not in WORKER_ONLY

    @property
    def least(self) -> float | None:
        """The score from which it has passed; None: without an issue."""
        return self.threshold if self.threshold is not None else self.usual_threshold


class Length(CheckSpec):
    """The number of words, against limits, or against the length that was asked for."""

    check: Literal["length"]
    min_words: Words | None = None
    max_words: Words | None = None
    target: Words | None = None
    """Left out: `target_length` of the job, if neither limit is given; without that either, at least 300 words."""
    tolerance: Share = 0.1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_words is not None and self.max_words is not None and self.min_words > self.max_words:
            raise ValueError("min_words is more than max_words")
        return self


class Structure(CheckSpec):
    """Paragraphs: enough of them, and none a wall of text."""

    check: Literal["structure"]
    min_paragraphs: int = Field(3, ge=1, le=1000)
    longest_paragraph: int = Field(150, ge=10, le=10_000)


class Headings(CheckSpec):
    """A title, a section heading every so many words, and headings that must be there."""

    check: Literal["headings"]
    title: bool = True
    every: int = Field(300, ge=50, le=10_000)
    required: Phrases = ()


class Introduction(CheckSpec):
    """A first paragraph of fair size that names the topic."""

    check: Literal["introduction"]
    min_words: Words = 20
    max_words: Words = 150


class Conclusion(CheckSpec):
    """An end that concludes and is not broken off."""

    check: Literal["conclusion"]
    min_words: Words = 15


class Examples(CheckSpec):
    """Examples that are announced, and among them practical ones: figures, commands, code."""

    check: Literal["examples"]
    minimum: int = Field(1, ge=1, le=100)
    practical: bool = True


class CallToAction(CheckSpec):
    """Something to do for the reader at the end."""

    check: Literal["call_to_action"]
    also: Phrases = ()
    """Further wordings that count, such as `order now`."""


class Tone(CheckSpec):
    """The tone of voice by its visible signs, and the wording of a brand."""

    check: Literal["tone"]
    tone: Literal["professional", "casual", "technical"] | None = None
    """Left out: `tone` of the job; professional without."""
    voice: Annotated[str, StringConstraints(max_length=2000)] = ""
    """Left out: `brand_voice` of the job."""


class Readability(CheckSpec):
    """Flesch reading ease, a band of Flesch-Kincaid grades, and the length of sentences."""

    check: Literal["readability"]
    min_ease: float | None = Field(None, ge=0, le=100)
    """Left out: 42, and 30 for a technical tone."""
    max_ease: float | None = Field(None, ge=0, le=100)
    min_grade: float | None = Field(None, ge=0, le=30)
    max_grade: float | None = Field(None, ge=0, le=30)
    max_sentence_words: int = Field(26, ge=5, le=200)


class Keywords(CheckSpec):
    """The topic's words and key phrases: there, in the title, and not stuffed."""

    check: Literal["keywords"]
    phrases: Phrases = ()
    """Besides `topic`, `primary_keyword` and `keywords` of the job."""
    min_share: Share = 0.6
    title: bool = True
    max_density: Share = 0.04
    """The most that uses of one wanted phrase may make of all words."""


class Lists(CheckSpec):
    """List items, in texts long enough to need them."""

    check: Literal["lists"]
    min_items: int = Field(2, ge=1, le=1000)
    above_words: Words = 400


class StockPhrases(CheckSpec):
    """Wording that machines fall into, placeholders, and a text that is broken off."""

    check: Literal["stock_phrases"]
    also: Phrases = ()
    allow: Phrases = ()
    per_thousand: float = Field(3.0, ge=0, le=100)
    """So many in a thousand words are let pass."""
    truncated: bool = True
    """A text that ends in mid-sentence is an issue too."""


class Wording(CheckSpec):
    """What proselint remarks on: clichés, redundancy, misused words."""

    check: Literal["wording"]
    per_thousand: float = Field(4.0, ge=0, le=100)


class JsonSchema(CheckSpec):
    """The result, or what `of` names, against a JSON Schema."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, protected_namespaces=())

    check: Literal["json_schema"]
    schema_: Schema | None = Field(None, alias="schema")
    """Left out: the output schema of the agent."""


class Regex(CheckSpec):
    """Patterns (RE2) that the text must and must not match."""

    check: Literal["regex"]
    must: Patterns = ()
    must_not: Patterns = ()
    ignore_case: bool = False

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.must or self.must_not):
            raise ValueError("give patterns: must, must_not, or both")
        return self


class Command(CheckSpec):
    """A program that is given the draft: exit code 0 is 10, any other 0, unless it prints a score."""

    check: Literal["command"]
    argv: Annotated[
        tuple[Annotated[str, StringConstraints(max_length=4000)], ...], Field(min_length=1, max_length=100)
    ]
    timeout: float = Field(60, gt=0, le=3600)
    reads: Literal["exit_code", "json"] = "exit_code"
    """json: it prints {score, evidence, issue, suggestion}."""


class Http(CheckSpec):
    """An address that is sent the draft as JSON and answers {score, evidence, issue, suggestion}."""

    usual_threshold: ClassVar[float | None] = THRESHOLD

    check: Literal["http"]
    url: Annotated[
        str,
        StringConstraints(min_length=8, max_length=2000, pattern=r"^https?://[^/?#]"),
        AfterValidator(_without_password),
    ]
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=50)
    timeout: float = Field(30, gt=0, le=600)


class Judge(CheckSpec):
    """A language model that is told what to look for."""

    usual_threshold: ClassVar[float | None] = THRESHOLD

    check: Literal["judge"]
    criteria: Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
    providers: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=100)], ...], Field(max_length=20)
    ] = ()
    """Left out: the common chain, beginning with one that did not write the draft."""
    model: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    timeout: float = Field(120, gt=0, le=3600)


AnyCheck = Annotated[
    Length | Structure | Headings | Introduction | Conclusion | Examples | CallToAction | Tone | Readability | Keywords
    | Lists | StockPhrases | Wording | JsonSchema | Regex | Command | Http | Judge,
    Field(discriminator="check"),
]  # fmt: skip
KINDS: dict[str, type[CheckSpec]] = {
    kind.model_fields["check"].annotation.__args__[0]: kind  # type: ignore[union-attr]
    for kind in CheckSpec.__subclasses__()
}
"""Every kind of check by its name."""


class Gate(BaseModel):
    """What a result must be like, and what happens to one that is not."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    title: Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]+$")] = "Quality gate"
    of: Path | None = None
    threshold: Score = THRESHOLD
    refinements: int | None = Field(None, ge=0, le=10)
    """None: three, where the agent can do better when told what was wrong."""
    min_gain: float = Field(MIN_GAIN, ge=0, le=10)
    """A refinement that brought less ends the loop; 0: never."""
    otherwise: Literal["needs_review", "rejected"] = "needs_review"
    approvers: People = ()
    """E-mail addresses and roles; none: whoever submitted the job, and admins."""
    deadline_minutes: Minutes | None = None
    on_timeout: Literal["approve", "reject"] = "reject"
    escalate_minutes: Minutes | None = None
    escalate_to: People = ()
    checks: Annotated[tuple[AnyCheck, ...], Field(min_length=1, max_length=50)]

    name: str | None = Field(None, exclude=True)
    """Under which it is kept; None: it stands in an agent's definition."""
    version: int | None = Field(None, exclude=True)

    @model_validator(mode="after")
    def _weighs(self) -> Self:
        if not any(spec.weight for spec in self.checks):
            raise ValueError("every check has the weight 0, so there is no score")
        return self

    @classmethod
    def read(cls, raw: Any, *, name: str | None = None, version: int | None = None) -> Gate:
        """The gate that JSON means; raises Invalid, which says of each mistake where it is (`/checks/2/weight`)."""
        if not isinstance(raw, dict):
            raise Invalid("a gate must be an object with `checks`", [("", "must be an object")])
        if own := [key for key in ("name", "version") if key in raw]:
            raise Invalid(
                f"/{own[0]} is not part of a gate", [(f"/{own[0]}", "is said beside it, not in it")]
            )
        try:
            made = cls.model_validate(raw)
        except ValidationError as wrong:
            found = wrong.errors(include_url=False, include_input=False)
            faults = [_fault(raw, each) for each in found if not _follows(raw, each)]
            raise Invalid(f"{faults[0][0] or 'the gate'}: {faults[0][1]}", faults) from wrong
        for fault in (_twice(made), _escalates_in_vain(made)):
            if fault:
                raise Invalid(": ".join(fault), [fault])
        return made.model_copy(update={"name": name, "version": version})

    def document(self) -> dict[str, Any]:
        """The gate as JSON, without what is as usual; `read` answers an equal gate."""
        kept = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        kept["checks"] = [
            {"check": spec.check}
            | spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"check"})
            for spec in self.checks
        ]
        for kept_check in kept["checks"]:
            if kept_check.get("name") == kept_check["check"]:
                del kept_check["name"]
        return {"title": self.title} | kept

    def summary(self) -> dict[str, Any]:
        """What a report says of the gate: its name and version if it has any, and its title."""
        return {"name": self.name, "version": self.version, "title": self.title}


def _escalates_in_vain(gate: Gate) -> tuple[str, str] | None:
    """What keeps others from ever being asked, though the gate names them or a time."""
    if bool(gate.escalate_to) != (gate.escalate_minutes is not None):
        missing = "escalate_minutes" if gate.escalate_to else "escalate_to"
        return f"/{missing}", "is needed where the other of escalate_minutes and escalate_to is given"
    if gate.escalate_minutes and gate.deadline_minutes and gate.escalate_minutes >= gate.deadline_minutes:
        return "/escalate_minutes", "must be less than deadline_minutes: nobody would be asked before the end"
    return None


def _twice(gate: Gate) -> tuple[str, str] | None:
    seen: set[str] = set()
    for at, spec in enumerate(gate.checks):
        if spec.name in seen:
            return f"/checks/{at}/name", f"two checks are called {spec.name}: give one of them another name"
        seen.add(spec.name)
    return None


def _follows(raw: dict[str, Any], fault: Any) -> bool:
    """Whether it only says again that the checks cannot be read."""
    return fault["type"] == "too_short" and fault["loc"] == ("checks",) and bool(raw["checks"])


def _fault(raw: dict[str, Any], fault: Any) -> tuple[str, str]:
    """(pointer, message) of what pydantic found, without the tag that it puts into paths."""
    path = list(fault["loc"])
    if path[:1] == ["checks"] and len(path) > 2 and path[2] in KINDS:
        del path[2]
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path.append("check")
        message = f"must be one of {', '.join(KINDS)}"
    elif fault["type"] == "extra_forbidden":
        message = f"is not a key here; known: {', '.join(_known(raw, path))}"
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return pointer, message


def _known(raw: dict[str, Any], path: list[Any]) -> list[str]:
    model: type[BaseModel] = Gate
    if len(path) == 3 and path[0] == "checks":
        model = KINDS[raw["checks"][path[1]]["check"]]
    return [
        field.alias or name
        for name, field in model.model_fields.items()
        if not (model is Gate and field.exclude)
    ]
