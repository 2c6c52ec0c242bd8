"""What single sentences of a conversation are: tasks, decisions, questions. English and German; pure, without a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.db import Row
from app.quality.text.sentences import clean, one_line, sentences, terms, unmarked

LONGEST_MESSAGE, LONGEST_SENTENCE = 20_000, 500
"""Characters of a message that are read, and of a sentence that is kept."""
_I = re.IGNORECASE


@dataclass(frozen=True)
class Sentence:
    """A sentence with who said it and the place of its message."""

    text: str
    speaker: str
    place: int


@dataclass(frozen=True)
class Task:
    """Something that somebody is to do; `owner` and `due` are empty where nobody said."""

    text: str
    owner: str
    due: str
    place: int


def cut(messages: Sequence[Row]) -> list[Sentence]:
    """The sentences of messages {speaker, text, place}, in order; points of a list are sentences."""
    return [
        Sentence(
            one_line(unmarked(piece.replace(_JOINT, " ")), LONGEST_SENTENCE),
            str(message["speaker"]),
            int(message["place"]),
        )
        for message in messages
        for line in clean(str(message["text"])[:LONGEST_MESSAGE]).split("\n")
        for piece in sentences(_ORDINAL.sub(_JOINT, _POINT.sub("", line)))
        if piece.strip()
    ]


_POINT = re.compile(r"^\s*(?:[-*+•–]|\d{1,3}[.)])\s+")
# "3. Dezember" is no end of a sentence.
_ORDINAL = re.compile(r"(?<=\b\d\.) (?=[A-ZÄÖÜ])|(?<=\b\d\d\.) (?=[A-ZÄÖÜ])")
_JOINT = "\ue000"
_BOX = re.compile(r"^\[ ?\]\s+")

# -- when

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonnabend|sonntag"
_MONTH = (
    r"(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|mar(?:ch)?|märz|apr(?:il)?|may|mai|june?|juni|july?|juli|aug(?:ust)?|"
    r"sep(?:t(?:ember)?)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)"
)
_TIME = r"(?:\s+(?:at|um|gegen)?\s*\d{1,2}(?:[:.]\d{2})?\s*(?:am|pm|uhr|o'clock)\b)"
_DATE = (
    r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}\.\s?\d{1,2}\.(?:\s?\d{4}|\s?\d{2})?|\d{1,2}/\d{1,2}(?:/\d{2,4})?"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}})?|\d{{1,2}}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}\b\.?(?:\s+\d{{4}})?)"
)
_POINT_IN_TIME = (
    rf"(?:{_DATE}|(?:(?:next|this|coming|nächsten?|kommenden?|diesen)\s+)?(?:{_DAY})(?:\s+(?:morning|afternoon|evening|noon|früh|vormittag|mittag|nachmittag|abend))?"
    r"|tomorrow(?:\s+(?:morning|afternoon|evening|noon))?|today|tonight|noon|midnight"
    r"|übermorgen|morgen(?:\s+(?:früh|vormittag|mittag|nachmittag|abend))?|heute(?:\s+(?:vormittag|mittag|nachmittag|abend))?"
    r"|(?:the\s+)?end\s+of\s+(?:the\s+|this\s+|next\s+)?(?:day|week|month|quarter|year)|eod|eow"
    r"|(?:zum\s+)?ende\s+(?:der|dieser|nächster|des|dieses)\s+(?:woche|monats|quartals|jahres|tages)"
    r"|(?:next|this|nächste[rn]?|diese[rn]?|kommende[rn]?)\s+(?:week|month|quarter|woche|monat|quartal)"
    r"|\d{1,2}(?:[:.]\d{2})?\s*(?:am|pm|uhr|o'clock)\b)"
)
DUE = re.compile(
    rf"\b(?:(?:by|before|until|till|no later than|on|bis(?:\s+(?:spätestens|zum|zur))?|spätestens(?:\s+(?:am|bis))?|vor|am)\s+)?"
    rf"(?P<when>{_POINT_IN_TIME}{_TIME}?)(?!\w)|\b(?P<soon>as soon as possible|asap|right away|immediately|so bald wie möglich|sofort|umgehend)\b",
    _I,
)


def due_of(text: str) -> str:
    """The words by which a text says when, without the preposition; empty if it does not."""
    found = DUE.search(text)
    return " ".join((found["when"] or found["soon"]).split()).rstrip(".") if found else ""


# -- what is to be done

_NAME = r"(?P<owner>[A-ZÄÖÜ][\wäöüß'-]{1,30}(?:\s+[A-ZÄÖÜ][\wäöüß'-]{1,30})?)"
_DO = r"(?!\s*(?:be|have been|see|not|never|probably not|think|say|admit|bet)\b)"
_GERMAN_DO = (
    r"(?:werde|kümmere|übernehme|schicke|sende|mache|bereite|prüfe|kläre|erledige|organisiere|buche|rufe|schreibe|erstelle|"
    r"teste|bestelle|plane|aktualisiere|melde|liefere|besorge|muss|soll)"
)
_GERMAN_DOES = (
    r"(?:soll|muss|wird|übernimmt|kümmert|schickt|sendet|macht|bereitet|prüft|klärt|erledigt|organisiert|bucht|ruft|"
    r"schreibt|erstellt|testet|bestellt|plant|aktualisiert|meldet|liefert|besorgt)"
)
_LABELLED = re.compile(
    r"^(?:action(?:\s+items?)?|ai|to-?\s?do|task|next step|aufgabe|nächster schritt|follow[- ]?up)\s*[:–-]\s*(?P<rest>.+)$",
    _I,
)
_NAMED_TASK = re.compile(rf"^@?{_NAME}\s*(?:[:–]\s*|\s+(?:to|zu)\s+)(?P<rest>\S.+)$")
_MINE = re.compile(
    rf"\b(?:I(?:'ll|’ll| will| shall| am going to|'m going to|’m going to| can take| need to| have to| must){_DO}\s+\w+"
    rf"|let me (?!know\b|see\b|think\b)\w+|ich {_GERMAN_DO}\b(?!\s+(?:sagen|zugeben|gestehen)))",
    _I,
)
_MINE_TAKEN = re.compile(r"\b(?:I|ich)\b.{0,20}\b(?:take care of|look after|kümmere mich um)\b", _I)
_THEIRS = re.compile(
    rf"(?:^|[,;]\s+|\b(?:and|und|that|dass)\s+)@?{_NAME},?\s+(?:(?:will|shall|should|must|has to|needs to|is going to)\b{_DO}\s+\w+|{_GERMAN_DOES}\b)"
)
_ASKED = re.compile(
    rf"^(?:@?{_NAME}\s*,\s*)?(?:(?:can|could|would|will) you\s+(?:please\s+)?(?!tell me why|hear|see|believe|imagine|repeat)\w+|please\s+\w+"
    r"|(?:kannst|könntest|würdest) du\b|(?:können|könnten|würden) sie\b|bitte\s+\w+)",
)
_OURS = re.compile(
    r"\b(?:we(?:'ll|’ll)? (?:need to|should|must|have to|ought to|still need to)(?!\s+(?:not|never|be)\b)\s+\w+|let(?:'|’)s (?!see\b|say\b|go with\b|wait\b|talk\b)\w+"
    r"|wir (?:müssen|sollten|brauchen noch)\b|lasst? uns\b|somebody (?:should|must|needs to)|jemand (?:muss|sollte))",
    _I,
)
_NOBODY = frozenset(
    """
    i we you he she it they this that these those there what who which when where why how the a an and
    but so if then also everybody everyone somebody someone nobody nothing something maybe perhaps yes no
    ok okay well das der die es er sie wir ich du ihr man dies jemand niemand vielleicht ja nein wenn
    dann also und aber hier da heute morgen monday tuesday wednesday thursday friday saturday sunday
    montag dienstag mittwoch donnerstag freitag samstag sonntag our my your his her unser mein dein today
    tomorrow please bitte hopefully however thanks danke
    """.split()  # noqa: SIM905 - a page of quoted words is no easier to read
)
_DENIED = re.compile(r"\b(?:not|never|no longer|nicht|nie|kein\w*)\b|n['’]t\b", _I)
_IF_ONLY = re.compile(r"\b(?:I would have|I will be|we should have|hätte|wäre|used to)\b", _I)


def tasks(said: Sequence[Sentence]) -> Iterator[Task]:
    """What somebody promised, was asked to do, or was given to do; each sentence at most once."""
    people = {each.speaker for each in said}
    for each in said:
        found = _task(each, people)
        if found is not None:
            yield found


def _task(each: Sentence, people: set[str]) -> Task | None:
    text = each.text
    if _IF_ONLY.search(text):
        return None
    labelled = _LABELLED.match(text) or _BOX.match(text)
    if labelled:
        return _given(labelled["rest"] if "rest" in labelled.re.groupindex else text[labelled.end() :], each)
    owner = _owner(text, each.speaker, people)
    return None if owner is None else Task(text, owner, due_of(text), each.place)


def _given(rest: str, each: Sentence) -> Task:
    named = _NAMED_TASK.match(rest)
    theirs = _THEIRS.search(rest)
    owner = next((_person(found["owner"]) for found in (named, theirs) if found), "")
    return Task(named["rest"] if named and owner else rest, owner, due_of(rest), each.place)


def _owner(text: str, speaker: str, people: set[str]) -> str | None:
    """Who is to do it: a name, empty for nobody in particular; None if it is no task."""
    asked = _ASKED.match(text) or re.match(_ASKED.pattern.replace(_NAME, "(?P<owner>x^)"), text, _I)
    if asked:
        others = people - {speaker}
        return _person(asked["owner"] or "") or (next(iter(others)) if len(others) == 1 else "")
    if text.endswith("?") or _DENIED.search(text):
        return None
    theirs = _THEIRS.search(text)
    if theirs and (name := _person(theirs["owner"])):
        return name
    if _MINE.search(text) or _MINE_TAKEN.search(text):
        return speaker
    return "" if _OURS.search(text) else None


def _person(name: str) -> str:
    """The name, without a word before it that is none; empty if nothing is left."""
    kept = [part for part in name.split() if part.lower() not in _NOBODY]
    return " ".join(kept)


# -- what was decided, and what is open

_DECIDED = re.compile(
    r"\b(?:we(?:'ve|’ve| have)? (?:all )?(?:decided|agreed|settled|chosen|concluded)|(?:it(?:'s| is| was)|has been) (?:decided|agreed|settled)"
    r"|I(?:'ve| have)? decided|the decision is|let(?:'|’)s go with|we(?:'ll|’ll| will| are going to) (?:go with|stick with|use|postpone|cancel|skip|move to)"
    r"|wir (?:haben (?:uns )?(?:\S+ ){0,8}?(?:beschlossen|entschieden|geeinigt|festgelegt)|bleiben bei|nehmen|verschieben|entscheiden uns)"
    r"|(?:es ist|damit ist|das ist) (?:beschlossen|entschieden|abgemacht)|abgemacht)\b",
    _I,
)
_DECISION_LABEL = re.compile(
    r"^(?:decisions?|decided|agreed|resolution|entscheidung|beschluss|beschlossen|vereinbart)\s*[:–-]\s*(?P<rest>.+)$",
    _I,
)
_UNDECIDED = re.compile(r"\b(?:not|nicht)\b|n['’]t\b", _I)
_OPEN_LABEL = re.compile(
    r"^(?:open (?:question|point|issue)s?|question|offene (?:frage|punkt)n?|offener punkt|frage)\s*[:–-]\s*(?P<rest>.+)$",
    _I,
)
_ANSWER = re.compile(
    r"^(?:yes|yep|yeah|no|nope|sure|exactly|correct|of course|definitely|ja|nein|genau|klar|natürlich|stimmt|doch)\b",
    _I,
)
_ANSWERS_WITHIN = 3
SHORTEST_QUESTION = 4


def decisions(said: Sequence[Sentence]) -> Iterator[Sentence]:
    """What was decided; what was explicitly not decided, and what is asked, is none."""
    for each in said:
        labelled = _DECISION_LABEL.match(each.text)
        if labelled:
            yield Sentence(labelled["rest"], each.speaker, each.place)
        elif _decides(each.text):
            yield each


def _decides(text: str) -> bool:
    found = None if text.endswith("?") else _DECIDED.search(text)
    return found is not None and not _UNDECIDED.search(text[: found.end()])


def questions(said: Sequence[Sentence]) -> Iterator[Sentence]:
    """What was asked and, as far as the next few sentences of others tell, not answered."""
    for at, each in enumerate(said):
        labelled = _OPEN_LABEL.match(each.text)
        if labelled:
            yield Sentence(labelled["rest"], each.speaker, each.place)
        elif _asks(each.text) and not _is_answered(each, said[at + 1 : at + 1 + 4 * _ANSWERS_WITHIN]):
            yield each


def _asks(text: str) -> bool:
    return text.endswith("?") and len(text.split()) >= SHORTEST_QUESTION and not _asks_to_do(text)


def _asks_to_do(text: str) -> bool:
    return _owner(text, "", {""}) is not None


def _is_answered(asked: Sentence, following: Sequence[Sentence]) -> bool:
    """Somebody else said yes or no, or took up one of its words, soon after."""
    wanted = set(terms(asked.text))
    others = [each for each in following if each.speaker != asked.speaker and not each.text.endswith("?")]
    return any(
        _ANSWER.match(each.text) or wanted & set(terms(each.text)) for each in others[:_ANSWERS_WITHIN]
    )
