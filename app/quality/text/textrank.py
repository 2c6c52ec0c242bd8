"""TextRank: which sentences carry a text, found by how much they share with the others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

MOST_SENTENCES = 600
"""The graph grows with the square of its sentences; callers shortlist above this number."""


def rank(sentence_terms: Sequence[Sequence[str]], topic: Sequence[str] = ()) -> list[float]:
    """Weight of each sentence, given as its terms; those that share terms with `topic` are favoured.

    The weights add up to 1. More than MOST_SENTENCES sentences is a programming error.
    """
    count = len(sentence_terms)
    if count > MOST_SENTENCES:
        raise ValueError(f"at most {MOST_SENTENCES} sentences can be ranked at once, not {count}")
    if not count:
        return []
    bags = [frozenset(terms) for terms in sentence_terms]
    return _settled(_edges(bags), _starting_weights(bags, frozenset(topic)))


def shortlist(sentence_terms: Sequence[Sequence[str]], topic: Sequence[str], most: int) -> list[int]:
    """Positions of at most `most` sentences, the nearest to the topic and to the beginning, in order."""
    wanted = frozenset(topic)
    order = sorted(
        range(len(sentence_terms)), key=lambda at: (-len(wanted.intersection(sentence_terms[at])), at)
    )
    return sorted(order[:most])


def _edges(bags: list[frozenset[str]]) -> list[dict[int, float]]:
    """For each sentence its neighbours with the similarity: shared terms over the logs of the lengths."""
    holders: dict[str, list[int]] = defaultdict(list)
    for at, bag in enumerate(bags):
        for term in bag:
            holders[term].append(at)
    shared: list[dict[int, float]] = [defaultdict(float) for _ in bags]
    # A term in most sentences joins everything with everything and says nothing.
    for positions in holders.values():
        if len(positions) <= max(3, len(bags) // 2):
            for one in positions:
                for other in positions:
                    shared[one][other] += one != other
    lengths = [math.log(1 + len(bag)) for bag in bags]
    return [
        {other: value / (lengths[one] + lengths[other]) for other, value in row.items() if value}
        for one, row in enumerate(shared)
    ]


def _starting_weights(bags: list[frozenset[str]], topic: frozenset[str]) -> list[float]:
    """The share of attention each sentence gets without its neighbours."""
    weights = [1.0 + 4.0 * len(bag & topic) / max(1, len(topic)) for bag in bags]
    total = sum(weights)
    return [weight / total for weight in weights]


def _settled(edges: list[dict[int, float]], start: list[float], damping: float = 0.85) -> list[float]:
    """The weights after power iteration has settled (at most 60 rounds)."""
    outgoing = [sum(row.values()) for row in edges]
    weights = list(start)
    for _ in range(60):
        loose = sum(weight for weight, total in zip(weights, outgoing, strict=True) if not total)
        fresh = [(1 - damping + damping * loose) * share for share in start]
        for one, row in enumerate(edges):
            if outgoing[one]:
                flow = damping * weights[one] / outgoing[one]
                for other, value in row.items():
                    fresh[other] += flow * value
        moved = sum(abs(new - old) for new, old in zip(fresh, weights, strict=True))
        weights = fresh
        if moved < 1e-6:
            break
    return weights
