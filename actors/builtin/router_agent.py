"""router-agent: which agents fit a request, by the words it shares with their definitions, with the reasons.

Reads the definitions themselves (the catalogue and AGENT_FOLDERS); no model and no database is asked.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from actors.builtin import places
from actors.builtin.text import markdown
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.environment import asked_for
from app.agents.definition import Definition, parse
from app.errors import Invalid
from app.quality.text.sentences import one_line, stem, terms, words

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "app" / "agents" / "catalog"
OWN_ID = "router-agent"
PROPOSED = 5
LEAST_SCORE = 0.08
MOST_STEPS = 12
WEIGHTS = {"name": 3.0, "description": 2.0, "parameters": 0.5, "documentation": 0.5}
_SAID = {
    "name": "its name says", "description": "its description says", "parameters": "its parameters say",
    "documentation": "its documentation says",
}  # fmt: skip
NEEDS_MODEL = frozenset({"llm", "cli"})
ALIKE = (
    "mail email e-mail gmail newsletter inbox", "presentation slide deck powerpoint pptx keynote",
    "test pytest unittest coverage", "security vulnerability audit secret leak insecure",
    "bug error traceback exception crash debug stacktrace", "picture image graphic banner visual card",
    "post tweet linkedin twitter mastodon social", "changelog release notes documentation",
    "research summary summarise summarize sources quotes", "story requirement backlog ticket",
    "pdf whitepaper document leaflet", "csv spreadsheet figures sales statistics data metric",
    "review refactor quality lint", "seo search ranking keyword", "proofread edit draft style readability",
    "fixture conftest", "edge boundary fuzz", "article blog",
)  # fmt: skip
"""Words that mean much the same to somebody who looks for an agent."""
_STEP = re.compile(
    r"(?:[,;.]\s*|\s+)(?:and\s+)?(?:then|afterwards|after that|finally|next)\b[,:]?\s*|[;\n]+|\.\s+(?=[A-Z])"
    r"|(?:^|\n)\s*(?:\d{1,2}[.)]|[-*])\s+|,?\s+and\s+(?=(?:send|post|write|draw|make|run|check|mail|review|test)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Candidate:
    """One agent with the words of its definition, by where they stand."""

    definition: Definition

    @cached_property
    def texts(self) -> dict[str, str]:
        """What the definition says, by field."""
        definition = self.definition
        rules = (definition.ours.parameters.get("properties") or {}).items()
        told = " ".join(
            f"{name} {rule.get('title', '')} {rule.get('description', '')}" for name, rule in rules
        )
        name = f"{definition.agent_id.replace('-', ' ')} {definition.title}"
        return dict(zip(WEIGHTS, (name, definition.description, told, definition.instructions), strict=True))

    @cached_property
    def words(self) -> dict[str, Counter[str]]:
        """Stems by field."""
        return {field: Counter(terms(text)) for field, text in self.texts.items()}

    @cached_property
    def forms(self) -> dict[str, str]:
        """Each stem as the definition first writes it."""
        found: dict[str, str] = {}
        for text in self.texts.values():
            for word in words(text):
                found.setdefault(stem(word), word)
        return found

    @cached_property
    def weights(self) -> dict[str, float]:
        """How much each stem speaks for this agent, before its rarity; later mentions count less."""
        found: dict[str, float] = {}
        for field, counts in self.words.items():
            for word, count in counts.items():
                found[word] = found.get(word, 0.0) + WEIGHTS[field] * (1 + math.log(count))
        return found


@dataclass(frozen=True)
class Match:
    """How well an agent fits a text: 0 (not at all) to 1, and the words that say so."""

    candidate: Candidate
    score: float
    shared: tuple[str, ...]

    @property
    def why(self) -> str:
        """The reason in words."""
        fields, forms = self.candidate.words, self.candidate.forms
        field_of = {word: next(field for field in fields if fields[field][word]) for word in self.shared}
        parts = [
            f"{_SAID[field]} {', '.join(forms[word] for word in self.shared if field_of[word] == field)}"
            for field in WEIGHTS
            if field in field_of.values()
        ]
        return "; ".join(parts)

    def as_json(self) -> JSON:
        """For the result."""
        ours = self.candidate.definition.ours
        return {
            "agent_id": self.candidate.definition.agent_id,
            "title": self.candidate.definition.title,
            "team": ours.team,
            "score": self.score,
            "why": self.why,
            "needs_model": ours.runner in NEEDS_MODEL,
            "required": list(ours.parameters.get("required") or []),
            "example": ours.example,
        }


class Registry:
    """Candidates, and how rare each word is among them."""

    def __init__(self, definitions: list[Definition]) -> None:
        """Read the words of every definition once."""
        self.candidates = [Candidate(definition) for definition in definitions]
        found = Counter(word for candidate in self.candidates for word in candidate.weights)
        total = len(self.candidates) + 1
        self.rarity = {word: math.log(total / count) + 0.1 for word, count in found.items()}

    def matches(self, text: str) -> list[Match]:
        """Agents that share something with the text, best first."""
        wanted = _wanted(text)
        found = [self._match(candidate, wanted) for candidate in self.candidates]
        ordered = sorted(found, key=lambda match: (-match.score, match.candidate.definition.agent_id))
        return [match for match in ordered if match.score >= LEAST_SCORE]

    def _match(self, candidate: Candidate, wanted: dict[str, float]) -> Match:
        """Cosine of the request and the definition, each word weighed by its rarity."""
        has = candidate.weights
        parts = {w: much * has[w] * self.rarity[w] ** 2 for w, much in wanted.items() if w in has}
        length = _length({w: much * self.rarity.get(w, 1.0) for w, much in wanted.items()})
        length *= _length({w: much * self.rarity[w] for w, much in has.items()})
        shared = tuple(sorted(parts, key=lambda word: (-parts[word], word))[:6])
        score = sum(parts.values()) / length if length else 0.0
        return Match(candidate, round(min(1.0, score), 3), shared)


def health() -> Health:
    """Whether definitions can be read; those that cannot are named in the job's log."""
    definitions, broken = _definitions()
    if not definitions:
        return Health("unavailable", "no agent definition can be read")
    return Health("degraded", f"cannot be read: {', '.join(broken)}") if broken else Health()


def run(work: Work, context: Context) -> JSON:
    """Propose agents for the request, and one for each of its steps if it has several."""
    request = " ".join(str(work.parameters["request"]).split())
    if not terms(request):
        places.refuse("request", "Say in a sentence what is to be done.")
    context.stage("read", "Reading the agents' definitions")
    definitions, broken = _definitions()
    for name in broken:
        context.log(f"{name} cannot be read and was left out.", level="warning")
    registry = Registry([each for each in definitions if each.agent_id != OWN_ID])
    context.progress(40, f"Comparing with {len(registry.candidates)} agents")
    wanted = int(work.parameters.get("most", PROPOSED))
    found = registry.matches(request)[:wanted]
    for match in found:
        context.log(f"{match.score:.2f} {match.candidate.definition.agent_id}: {match.why}")
    plan = _plan(str(work.parameters["request"]), registry)
    result = {
        "summary": _summary(found, plan),
        "request": one_line(request, 2000),
        "agents": [match.as_json() for match in found],
        "plan": plan,
        "compared": len(registry.candidates),
        "made_by": "word comparison",
    }
    report = _report(result)
    context.artifact("routing.md", report.encode(), "text/markdown")
    context.progress(100, str(result["summary"]))
    return result | {"report": report}


def _definitions() -> tuple[list[Definition], list[str]]:
    """Every definition of the catalogue and the configured folders; later ones win. And files that are none."""
    configured = asked_for({"env": ["AGENT_FOLDERS"]}, "env").get("AGENT_FOLDERS", "")
    folders = [CATALOG, *(ROOT / part for part in configured.split(os.pathsep) if part)]
    found: dict[str, Definition] = {}
    broken = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.md"))):
        try:
            found[path.stem] = parse(path.stem, path.read_text(encoding="utf-8"))
        except (Invalid, OSError, ValueError):
            broken.append(path.name)
    return list(found.values()), broken


def _wanted(text: str) -> dict[str, float]:
    """The stems of the request; words that mean much the same count half."""
    own = Counter(terms(text))
    wanted = {word: 1 + math.log(count) for word, count in own.items()}
    for group in ALIKE:
        alike = {stem(word) for word in group.split()}
        if alike & set(own):
            for word in alike - set(own):
                wanted[word] = max(wanted.get(word, 0.0), 0.5)
    return wanted


def _plan(request: str, registry: Registry) -> list[JSON]:
    """The request cut into steps, each with the agent that fits it best; one step if it cannot be cut."""
    parts = [part.strip(" ,.;") for part in _STEP.split(request) if part and part.strip(" ,.;")]
    steps: list[JSON] = []
    for part in [part for part in parts if terms(part)][:MOST_STEPS]:
        best = next(iter(registry.matches(part)), None)
        definition = best.candidate.definition if best else None
        steps.append(
            {
                "step_id": f"step_{len(steps) + 1}",
                "text": one_line(part, 300),
                "agent_id": definition.agent_id if definition else None,
                "score": best.score if best else 0.0,
                "why": best.why if best else "no agent shares a word with this step",
                "required": list(definition.ours.parameters.get("required") or []) if definition else [],
                "depends_on": [f"step_{len(steps)}"] if steps else [],
            }
        )
    return steps


def _summary(found: list[Match], plan: list[JSON]) -> str:
    if not found:
        return "No agent fits this request."
    if len(plan) > 1 and all(step["agent_id"] for step in plan):
        return f"{len(plan)} steps: {' → '.join(step['agent_id'] for step in plan)}."
    best = found[0].candidate.definition
    others = ", ".join(match.candidate.definition.agent_id for match in found[1:3])
    return f"{best.agent_id} fits best ({found[0].score:.2f})" + (f"; then {others}." if others else ".")


def _report(result: JSON) -> str:
    escape = markdown.escape
    agents = [(each["agent_id"], each["score"], each["why"]) for each in result["agents"]]
    steps = [(each["text"], each["agent_id"] or "–", ", ".join(each["required"])) for each in result["plan"]]
    return markdown.report(
        [
            f"# {escape(result['summary'], 300)}",
            f"> {escape(result['request'], 500)}",
            markdown.table(("Agent", "Score", "Why"), agents) if agents else "",
            "## Plan" if len(steps) > 1 else "",
            markdown.table(("Step", "Agent", "Needs"), steps) if len(steps) > 1 else "",
            f"*Compared with {result['compared']} agents by the words they share; no model was asked.*",
        ]
    )


def _length(vector: dict[str, float]) -> float:
    return math.sqrt(sum(value * value for value in vector.values()))
