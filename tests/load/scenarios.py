"""The three scenarios: who comes, when, and what is asked of the answers. Standard library only: Locust reads it too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

TITLES = {1: "sustained", 2: "spike", 3: "volume"}
MINUTES = {1: 10.0, 2: 7.0, 3: 60.0}
USERS = {1: 100, 2: 500, 3: 100}
FEW = 10
"""Users before and after the spike."""
SUBMITTED_WITHIN = 0.95
"""Share of their minute in which the many jobs are to be sent: the last answer must come within it as well."""


@dataclass(frozen=True)
class Plan:
    """What Locust is told of a scenario."""

    scenario: int
    seconds: float
    """The length of the first two; how long the jobs of the third may take until all are over."""
    users: int
    per_second: float = 0
    """Requests in total that the users of the first aim at; 0: each waits 1 to 3 seconds."""
    tasks: int = 0
    """How many jobs the third sends in."""
    submit_seconds: float = 60
    agent_id: str = "test-noop"
    parameters: str = "{}"
    tag: str = "load"

    def dumped(self) -> str:
        """As one variable of the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Plan:
        """The reverse."""
        return cls(**json.loads(text))

    @property
    def pace(self) -> float:
        """Requests a second of each user; 0 where a pause of 1 to 3 seconds says it."""
        return self.per_second / self.users

    def share(self, number: int) -> int:
        """How many of the jobs the user with this number sends in, from 0 on."""
        most, over = divmod(self.tasks, self.users)
        return most + (number < over)

    def due(self, number: int, sent: int) -> float:
        """Seconds after the start at which that user sends its next job."""
        turn = (sent * self.users + number) / self.tasks
        return turn * self.submit_seconds * SUBMITTED_WITHIN

    def present(self, second: float) -> int | None:
        """How many users are there so many seconds after the start; None: it is over."""
        if second >= self.seconds:
            return None
        if self.scenario != 2:
            return self.users
        # One part up, five parts held, one part down.
        part = self.seconds / 7
        up = min(1.0, second / part, (self.seconds - second) / part)
        return round(min(FEW, self.users) + (self.users - min(FEW, self.users)) * up)
