"""User stories out of notes, by rules: who, what, why, how urgent, and what would show that it is done.

No model is asked, so nothing is invented: every part of a story stands in the notes, and what does not stand
there is asked for in `to_clarify`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from actors.builtin.text.notes import Point, points
from actors.runners.base import JSON
from app.quality.text.sentences import one_line

_WRITTEN = re.compile(
    r"^as an? (?P<role>.+?),? (?:i|we) (?:want|need|would like|wish)(?: to be able)? to (?P<rest>.+?)[.!]?$",
    re.IGNORECASE,
)
_MODAL = re.compile(
    r"^(?P<who>(?:(?!\b(?:if|when|that|which)\b).){1,60}?)\s+(?:really |also |only |still |currently )?"
    r"(?P<modal>must not|should not|shouldn't|must|should|shall|could|needs? to|have to|has to|wants? to|"
    r"would like to|(?:are|is) not able to|cannot|can't|can not|wish(?:es)? to|may|can|needs?|wants?|would like)\s+"
    r"(?:also |only |always )?(?:be able to |be allowed to )?(?P<goal>.+)$",
    re.IGNORECASE,
)
_IMPERATIVES = frozenset(
    """add allow archive assign attach automate block build calculate cancel change check collect compare connect
    convert copy create delete deliver design display download draw edit enable encrypt enforce export extend filter
    find fix generate give group handle hide highlight implement import improve include integrate invite keep let
    limit link list log make mark measure merge migrate move notify offer open optimise optimize pause prevent print
    protect provide publish rate read record redesign reduce refund remember remind remove rename replace report
    require reset restore review save schedule search secure send set share show simplify sort speed store
    streamline support switch sync synchronise track translate trigger undo unify update upload validate verify warn
    write""".split()  # noqa: SIM905
)
_WHY = re.compile(
    r",?\s+(?:(?P<link>so that|in order to|because|as otherwise|otherwise|so)\s+|to (?=avoid |save |prevent |reduce ))"
    r"(?P<why>.+)$",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"\b(?:must not|should not|shouldn't)\b", re.IGNORECASE)
_US = frozenset(["we", "i", "it", "they", "you", "one", "this", "that", "there"])
_PRODUCT = frozenset("it system app application product page site website software tool".split())  # noqa: SIM905
_ASIDE = re.compile(
    r"\s*\((?:nice to have|optional|maybe|urgent|asap|critical|out of scope)\)\s*", re.IGNORECASE
)
_PRIORITIES = (
    ("won't", r"\b(?:won'?t|out of scope|not now|later release|some ?day)\b"),
    ("must", r"\b(?:must|critical|urgent|asap|blocker|required|legally|has to|have to|shall)\b"),
    ("could", r"\b(?:could|nice to have|maybe|perhaps|optional(?:ly)?|might|would be nice)\b"),
)
_VAGUE = re.compile(
    r"\b(fast(?:er)?|quick(?:ly|er)?|eas(?:y|ily|ier)|user[- ]friendly|intuitive|nice(?:r)?|better|simple|flexible|"
    r"modern|robust|soon|some|several|many|etc|and so on|appropriate(?:ly)?|as needed|various)\b",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"^(?:if|when|once|unless) (?P<given>.+?),\s*(?:then )?(?P<then>.+)$", re.IGNORECASE)
_LEAD = re.compile(r"^(?:todo|idea|need|feature|request|bug|story|note)\s*[:\-–]\s*", re.IGNORECASE)
_PRIORITY_MARK = re.compile(
    r"\s*[\[(](?P<mark>must|should|could|won'?t|p[0-3]|high|medium|low)[\])]\s*", re.IGNORECASE
)
_MARKS = {
    "p0": "must",
    "p1": "must",
    "high": "must",
    "p2": "should",
    "medium": "should",
    "p3": "could",
    "low": "could",
}


@dataclass(frozen=True, kw_only=True)
class Story:
    """One story with the words of the notes it was made of."""

    number: int
    epic: str
    role: str
    goal: str
    why: str
    reason: str
    """What follows a "because": told, but no outcome to look for."""
    priority: str
    details: tuple[str, ...]
    role_stated: bool
    forbidden: bool
    by_product: bool
    """The product is to do it, not the person."""
    source: str
    line: int

    @property
    def story_id(self) -> str:
        """`US-1`."""
        return f"US-{self.number}"

    @property
    def title(self) -> str:
        """The goal, short enough for a board."""
        return one_line(self.goal[:1].upper() + self.goal[1:], 80)

    @property
    def sentence(self) -> str:
        """The story as people read it."""
        wish = "the product not to" if self.forbidden and self.by_product else "nobody to"
        wish = wish if self.forbidden else "the product to" if self.by_product else "to"
        end = f", so that {self.why}" if self.why else f", because {self.reason}" if self.reason else ""
        return f"As {article(self.role)}, I want {wish} {self.goal}{end}."

    @property
    def to_clarify(self) -> list[str]:
        """What the notes do not say, as questions."""
        asked = [] if self.role_stated else ["Who needs this? The notes name nobody."]
        asked += [] if self.why or self.reason else ["What is it good for?"]
        asked += [] if self.details else ["How is it seen that it works? The notes name no condition."]
        vague = list(dict.fromkeys(word.lower() for word in _VAGUE.findall(self.goal)))
        asked += [f"What does “{word}” mean here, in figures or examples?" for word in vague[:3]]
        if re.search(r"\band\b", self.goal) and len(self.goal.split()) > 12:
            asked.append("Is this more than one story? It says “and”.")
        return asked

    def criteria(self, style: str) -> list[str]:
        """Acceptance criteria, as Gherkin scenarios or as sentences to tick."""
        return self._gherkin() if style == "gherkin" else self._explicit()

    def _gherkin(self) -> list[str]:
        outcome = self.why or "it is done (say how this is seen)"
        who = "the product" if self.by_product else f"the {self.role}"
        does = "tries to" if self.forbidden else "has to" if self.by_product else "wants to"
        first = [
            f"Scenario: {self.title}",
            f"  Given {article(self.role)}",
            f"  When {who} {does} {self.goal}",
        ]
        found = ["\n".join([*first, f"  Then {'it is refused' if self.forbidden else outcome}"])]
        for at, detail in enumerate(self.details, 1):
            condition = _CONDITION.match(detail)
            given = condition["given"] if condition else f"{who} {does} {self.goal}"
            then = condition["then"] if condition else detail
            lines = [
                f"Scenario: {self.title}, condition {at}",
                f"  Given {given}",
                f"  Then {_sentence(then)}",
            ]
            found.append("\n".join(lines))
        return found

    def _explicit(self) -> list[str]:
        verb = "must not" if self.forbidden else "can"
        who = "the product" if self.by_product else article(self.role)
        first = f"{who[:1].upper()}{who[1:]} {verb} {self.goal}."
        return [first, *(_sentence(detail[:1].upper() + detail[1:]) + "." for detail in self.details)]

    def as_json(self, style: str) -> JSON:
        """For the job's result."""
        return {
            "id": self.story_id,
            "epic": self.epic,
            "title": self.title,
            "role": self.role,
            "goal": self.goal,
            "benefit": self.why or None,
            "reason": self.reason or None,
            "priority": self.priority,
            "story": self.sentence,
            "acceptance_criteria": self.criteria(style),
            "to_clarify": self.to_clarify,
            "source": self.source,
            "line": self.line,
        }


@dataclass(kw_only=True)
class Backlog:
    """What the notes hold: stories, open questions, and everything that was neither."""

    stories: list[Story] = field(default_factory=list)
    questions: list[Point] = field(default_factory=list)
    not_used: list[Point] = field(default_factory=list)


def read(notes: str, *, role: str, most: int) -> Backlog:
    """The stories in `notes`; `role` is for needs that name nobody."""
    backlog = Backlog()
    seen: set[str] = set()
    for point in points(notes):
        _take(point, backlog, role, seen)
        if len(backlog.stories) > most:
            break
    return backlog


def _take(point: Point, backlog: Backlog, role: str, seen: set[str]) -> None:
    """Put a point where it belongs; one that is no need itself may hold needs below it."""
    if point.text.rstrip().endswith("?"):
        backlog.questions.append(point)
        return
    story = _story(point, len(backlog.stories) + 1, role)
    if story is None:
        for detail in point.details:
            detail.heading = detail.heading if len(point.text) > 80 else point.text.rstrip(":")
            _take(detail, backlog, role, seen)
        if not point.details:
            backlog.not_used.append(point)
        return
    backlog.questions += [detail for detail in point.details if detail.text.rstrip().endswith("?")]
    if (key := f"{story.role} {story.goal}".lower()) not in seen:
        seen.add(key)
        backlog.stories.append(story)


def _story(point: Point, number: int, role: str) -> Story | None:
    text = _LEAD.sub("", _ASIDE.sub(" ", _PRIORITY_MARK.sub(" ", point.text))).strip().rstrip(".!;")
    need = _need(text)
    if need is None:
        return None
    who, goal, link, why = need
    stated = bool(who) and who.lower() not in _US | _PRODUCT
    details = [
        detail.text.rstrip(".;") for detail in _flat(point.details) if not detail.text.rstrip().endswith("?")
    ]
    return Story(
        number=number,
        epic=point.heading,
        role=_singular(who) if stated else role,
        goal=_goal(goal),
        why="" if link == "because" else _sentence(why),
        reason=_sentence(why) if link == "because" else "",
        priority=_priority(point.text),
        details=tuple(details),
        role_stated=stated,
        forbidden=bool(_FORBIDDEN.search(text)),
        by_product=not who or who.lower() in _PRODUCT,
        source=point.text,
        line=point.line,
    )


def _need(text: str) -> tuple[str, str, str, str] | None:
    """Who, what, and, after which word, why, if the text states a need."""
    written = _WRITTEN.match(text)
    if written:
        return written["role"], *_split_why(written["rest"])
    said, link, why = _split_why(text)
    modal = _MODAL.match(said)
    if modal:
        goal = modal["goal"]
        bare = modal["modal"].lower() in {"need", "needs", "want", "wants", "would like"}
        return _role(modal["who"]), f"have {goal}" if bare and not _verbal(goal) else goal, link, why
    first = re.match(r"[A-Za-z]+", said)
    if first and first.group().lower() in _IMPERATIVES and len(said.split()) > 1:
        return "", said[:1].lower() + said[1:], link, why
    return None


def _split_why(text: str) -> tuple[str, str, str]:
    found = _WHY.search(text)
    if not found or found.start() <= 8:
        return text, "", ""
    link = (found["link"] or "to").lower()
    why = f"I can {found['why']}" if link in {"to", "in order to"} else found["why"]
    return text[: found.start()], "because" if link in {"because", "otherwise", "as otherwise"} else link, why


def _role(who: str) -> str:
    words = re.sub(r"^(?:the|a|an|our|all|every|each|any)\s+", "", who.strip(" ,"), flags=re.IGNORECASE)
    return words if len(words.split()) <= 4 else ""


def _verbal(goal: str) -> bool:
    return goal.lower().startswith("to ") or goal.split(maxsplit=1)[0].lower() in _IMPERATIVES


def _goal(text: str) -> str:
    goal = re.sub(r"^(?:to|be able to)\s+", "", text.strip(" ,;."), flags=re.IGNORECASE)
    return one_line(goal, 300)


def _sentence(text: str) -> str:
    return one_line(text.strip(" ,;."), 300)


def _priority(text: str) -> str:
    if mark := _PRIORITY_MARK.search(text):
        word = mark["mark"].lower()
        return _MARKS.get(word, "won't" if word == "wont" else word)
    return next((name for name, pattern in _PRIORITIES if re.search(pattern, text, re.IGNORECASE)), "should")


def _flat(details: list[Point]) -> list[Point]:
    return [each for detail in details for each in (detail, *_flat(detail.details))]


def _singular(who: str) -> str:
    """`Customers` → `customer`, `delivery companies` → `delivery company`."""
    *before, last = who.split()
    if last.lower() == "people":
        last = "person"
    elif last.lower().endswith("ies") and len(last) > 4:
        last = last[:-3] + "y"
    elif last.lower().endswith("s") and not last.lower().endswith(("ss", "us", "is")):
        last = last[:-1]
    words = [*before, last]
    return " ".join(word if word.isupper() else word.lower() for word in words)


def article(role: str) -> str:
    """The role with `a` or `an`; somebody who has one already keeps it."""
    if re.match(r"(?:an?|the)\b", role, re.IGNORECASE) or role.lower().endswith(
        ("staff", "management", "support")
    ):
        return role
    return f"{'an' if role[:1].lower() in 'aeiou' and not role.lower().startswith(('user', 'uni', 'eu')) else 'a'} {role}"
