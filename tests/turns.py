"""Some of many values for each place, others for the next, so that each value meets many places; not the whole product.

WHOLE_PRODUCTS=1   each place gets all of them, and what is tried by chance is tried often: tests/long does that
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")

WHOLE = os.environ.get("WHOLE_PRODUCTS") == "1"


def some(values: Sequence[Value], number: int, share: int) -> Sequence[Value]:
    """One in `share` of the values, for the place with this number."""
    return values if WHOLE else values[number % share :: share]


def times(few: int, many: int) -> int:
    """How often something is tried by chance."""
    return many if WHOLE else few
