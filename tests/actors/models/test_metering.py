"""What is counted early is never above what is counted late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai.usage import RequestUsage

from actors.models.metering import Meter, at_least
from app.budgets.usage import Usage
from tests.actors.models.desk import spec_of
from tests.doubles import RecordingContext


class Remembering(RecordingContext):
    """Keeps every figure, not only the last."""

    def meter(self, usage: Usage) -> None:
        super().meter(usage)
        self.every = [*getattr(self, "every", []), usage]


@pytest.fixture
def meter(context: RecordingContext) -> Meter:
    return Meter(
        Remembering(workspace=context.workspace), spec_of("http://x"), "m", "call-1", "three small words"
    )


def test_a_floor_counts_words_and_long_words_more() -> None:
    assert at_least("one two") == 2
    assert at_least("a" * 40) == 3
    assert at_least("") == 0


@given(st.text(), st.text())
def test_the_floor_never_goes_down_while_a_text_grows(text: str, more: str) -> None:
    assert at_least(text) <= at_least(text + more)


def test_while_it_streams_the_floor_stands_in_and_the_final_figure_corrects_it(meter: Meter) -> None:
    meter.streaming(RequestUsage(), "well then")
    meter.streaming(RequestUsage(), "well then this")
    count = meter.ended(
        RequestUsage(input_tokens=9, output_tokens=7, cache_read_tokens=4), "well then this is it"
    )

    told = [(u.input_tokens, u.output_tokens, u.cache_read_tokens, u.final) for u in meter.context.every]
    assert told == [(3, 2, 0, False), (3, 3, 0, False), (5, 7, 4, True)]
    assert (count.prompt_tokens, count.estimated) == (9, False)


def test_what_the_provider_says_early_wins_where_it_is_more(meter: Meter) -> None:
    meter.streaming(RequestUsage(input_tokens=700, output_tokens=50), "well")

    usage = meter.context.metered["call-1"]
    assert (usage.input_tokens, usage.output_tokens) == (700, 50)


def test_a_provider_that_never_counts_is_estimated_and_says_so(meter: Meter) -> None:
    count = meter.ended(RequestUsage(), "x" * 400)

    assert (count.output_tokens, count.estimated) == (100, True)
    assert meter.context.metered["call-1"].final


def test_a_call_that_is_broken_off_keeps_what_is_known(meter: Meter) -> None:
    meter.streaming(RequestUsage(), "well then")
    meter.broken_off()

    usage = meter.context.metered["call-1"]
    assert (usage.output_tokens, usage.final) == (2, True)


def test_a_call_that_never_began_is_not_metered(meter: Meter) -> None:
    meter.broken_off()

    assert meter.context.metered == {}
