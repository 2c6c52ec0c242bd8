"""What of one attempt is secret: opened here and nowhere else, sealed again in its result, hidden in what it writes."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from actors.runners.environment import HIDDEN, asked_for
from app.agents import secrecy
from app.agents.definition import Definition
from app.db import dumps
from app.errors import PermanentError
from app.jobs.claims import Claim
from app.jobs.lifecycle import owner_of
from app.secrets import sealing
from app.settings import PROVIDER_KEYS, Settings

JSON = dict[str, Any]
SHORTEST = 6
"""Characters of a secret that is looked for in other texts: a shorter one would be found where nobody meant it."""
OUR_OWN = (*PROVIDER_KEYS, "strapi_api_token", "pexels_api_key", "unsplash_access_key", "smtp_password")


class Confidential:
    """The secrets of one attempt."""

    def __init__(
        self, claim: Claim, definition: Definition, settings: Settings, token: str | None = None
    ) -> None:
        """Open the parameters; raises KeyMissing or NotOurs, which fail the job for good. `token` is the attempt's."""
        self._owner, self._output = owner_of(claim.job_id), definition.ours.output
        self.parameters: JSON = sealing.opened(claim.parameters, self._owner, "/parameters")
        marked = {*sealing.places(claim.parameters)}
        marked |= {*secrecy.places(definition.ours.parameters, self.parameters)}
        self.shown: JSON = secrecy.masked(self.parameters, marked)
        """The parameters with masks: what others than the runner may have."""
        known = {
            *secrecy.texts_at(self.parameters, marked),
            *_of_worker(definition, settings),
            *filter(None, [token]),
        }
        forms = {form for text in known if len(text) >= SHORTEST for form in _written(text)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def hide(self, value: Any) -> Any:
        """The same text or JSON without any secret that the attempt knows."""
        if self._known is None:
            return value
        if isinstance(value, str):
            return self._known.sub(HIDDEN, value)
        if isinstance(value, dict):
            return {self.hide(name): self.hide(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.hide(inner) for inner in value]
        return value

    def seal(self, result: JSON) -> JSON:
        """A result as it is written down: what its schema marks is sealed, and no other secret is in it."""
        where = {*secrecy.places(self._output, result)}
        sealed: JSON = sealing.seal(result, where, self._owner, "/result")
        return self.hide(sealed)  # type: ignore[no-any-return]

    def open(self, result: JSON) -> JSON:
        """A draft of a result as the agent gave it."""
        opened: JSON = sealing.opened(result, self._owner, "/result")
        return opened


def _written(text: str) -> set[str]:
    """A secret as it is, and as JSON and addresses have it."""
    return {text, dumps(text)[1:-1], quote(text, safe="")}


def _of_worker(definition: Definition, settings: Settings) -> set[str]:
    """The keys that the attempt may come across: those its agent asks for, and those of providers and services."""
    with suppress(PermanentError):  # the runner says that it cannot have them
        found = set(asked_for(definition.runner_config, "secrets").values())
        return found | {str(value) for name in OUR_OWN if (value := getattr(settings, name))}
    return set()
