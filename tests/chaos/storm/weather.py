"""The faults as they fall: each begun, woken, ended and written down; whoever dies meanwhile is started again."""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from tests.chaos.storm.faults import all_faults
from tests.chaos.storm.plan import Blow
from tests.chaos.storm.product import NotHere, Product

TICK_SECONDS = 0.2
STALL_SECONDS = 0.8


@dataclass
class Fallen:
    """One fault, as it was."""

    blow: Blow
    began: float
    """By the clock on the wall, as is the end; and, behind them, by the one that never jumps."""
    ended: float = 0.0
    began_monotonic: float = 0.0
    ended_monotonic: float = 0.0
    trouble: str | None = None
    """Why it could not be done here, or how doing it broke."""
    broke: bool = False
    acting: Generator[None, None, None] | None = None


@dataclass
class Weather:
    """Does what the plan says."""

    product: Product
    blows: list[Blow]
    say: Callable[[str], None]
    fallen: list[Fallen] = field(default_factory=list)
    stalls: list[tuple[float, float]] = field(default_factory=list)
    """When this machine was so busy that we ourselves stood still: then others may have, for as long as a lease."""

    def rage(self, seconds: float) -> None:
        """Go through the plan; from the thread that started the processes, whose death they share."""
        began, coming, under_way = time.monotonic(), list(self.blows), list[Fallen]()
        try:
            while (now := time.monotonic() - began) < seconds or coming or under_way:
                self.product.fleet.revive()
                for one in [one for one in under_way if now >= one.blow.until]:
                    under_way.remove(one)
                    self._end(one)
                while coming and coming[0].at <= now:
                    if (one := self._begin(coming.pop(0))).acting:
                        under_way.append(one)
                for one in under_way:
                    self._wake(one)
                slept = time.monotonic()
                time.sleep(TICK_SECONDS)
                if (woke := time.monotonic()) - slept > TICK_SECONDS + STALL_SECONDS:
                    self.stalls.append((slept, woke))
        finally:
            for one in under_way:
                self._end(one)

    def _begin(self, blow: Blow) -> Fallen:
        one = Fallen(blow, began=time.time(), began_monotonic=time.monotonic())
        self.fallen.append(one)
        one.acting = all_faults()[blow.kind](self.product, random.Random(blow.dice))
        self._wake(one)
        if one.trouble:
            self.say(f"{blow.at:7.1f} s  {blow.kind}: {one.trouble.strip().splitlines()[-1]}")
        else:
            self.say(f"{blow.at:7.1f} s  {blow.kind} {f'for {blow.seconds} s' if blow.seconds else ''}")
        if one.acting and not blow.seconds:
            self._end(one)
            one.acting = None
        return one

    def _wake(self, one: Fallen) -> None:
        if one.acting is None:
            return
        try:
            next(one.acting)
        except StopIteration:
            pass
        except NotHere as missing:
            one.trouble, one.acting = f"not possible here: {missing}", None
        except Exception:  # noqa: BLE001 - the storm goes on, and says so at the end
            one.trouble, one.broke = traceback.format_exc(), True

    def _end(self, one: Fallen) -> None:
        try:
            if one.acting:
                one.acting.close()
        except Exception:  # noqa: BLE001 - the storm goes on, and says so at the end
            one.trouble, one.broke = traceback.format_exc(), True
        one.ended, one.ended_monotonic = time.time(), time.monotonic()
