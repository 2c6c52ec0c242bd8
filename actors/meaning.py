"""What texts of sessions mean, found out in a thread of each worker process, where the keys of providers are.

Only where EMBEDDING_MODEL names a model. Texts stand in a queue in Postgres, so any number of processes may do it; what
a provider refuses or does not answer waits, and is said once. Its breaker and its limits hold here too; a call in which
nothing but the text is wrong says nothing about it.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from uuid import UUID

from app.db import AWAY, Row, db
from app.observe import logs
from app.providers import embedding, pools
from app.providers.embedding import NotEmbedded, Place
from app.providers.pools import Refusal, Ticket
from app.sessions import meaning
from app.settings import Settings

log = logs.get("meaning")

LOOK_SECONDS = 3.0
WHOLE_SECONDS = 3600.0
"""So often all sessions are looked through, and not only those in which something happened: some are imported as old."""
PAUSE_SECONDS = 60.0
"""After an error, until the next try."""
BATCH = 32
CALL_SECONDS = 30.0
PASS_SECONDS = 120.0
HOPELESS = timedelta(days=1)
"""How long a text waits that the provider refuses by itself."""
NO_JOB = str(UUID(int=0))
CHARS_PER_TOKEN = 4


class Reader:
    """Started once per worker process."""

    def __init__(self, settings: Settings) -> None:
        """Nothing runs before `start`."""
        self.settings = settings
        self._mark: meaning.Mark | None = None
        self._began = time.monotonic()
        self._said = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="meaning", daemon=True)

    def start(self) -> None:
        """Begin, if there is a model to ask."""
        if self.settings.embedding_model:
            self._thread.start()

    def stop(self) -> None:
        """Begin nothing more; a call that is under way is forgotten, and its texts are taken again later."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _loop(self) -> None:
        pause = LOOK_SECONDS
        while not self._stopping.wait(pause):
            pause = PAUSE_SECONDS
            try:
                more = self.look()
            except AWAY as away:
                log.warning("meaning.missed", error=type(away).__name__)
            except NotEmbedded as wrong:
                self._say(wrong.message)
                pause = max(PAUSE_SECONDS, wrong.retry_after or 0.0)
            except Exception:
                log.exception("meaning.broken")
            else:
                pause = 0.0 if more else LOOK_SECONDS

    def look(self) -> bool:
        """Queue what is new, and find out about one batch; answers whether there is more. Raises NotEmbedded."""
        model = self.settings.embedding_model
        if time.monotonic() - self._began > WHOLE_SECONDS:
            self._mark, self._began = None, time.monotonic()
        with db.transaction():
            self._mark, more = meaning.look_through(model, self._mark)
        with db.quick():
            place = embedding.place(model, self.settings.secret)
        with db.transaction():
            taken = meaning.take(model, BATCH)
        if taken and self._find_out(place, taken):
            self._say("")
        return more or len(taken) == BATCH

    def _find_out(self, place: Place, taken: list[Row]) -> bool:
        """All at once; if the provider refuses them, one by one, and what it refuses then has to wait."""
        try:
            vectors = self._asked(place, taken)
        except NotEmbedded as wrong:
            if wrong.kind != "request":
                _put_off(taken, timedelta(seconds=PAUSE_SECONDS))
                raise
            if len(taken) > 1:
                self._each(place, taken)
            else:
                _put_off(taken, HOPELESS)
                self._say(wrong.message)
            return False
        with db.transaction():
            meaning.keep(self.settings.embedding_model, taken, vectors)
        return True

    def _each(self, place: Place, taken: list[Row]) -> None:
        for n, row in enumerate(taken):
            if self._stopping.is_set():
                return
            try:
                self._find_out(place, [row])
            except NotEmbedded:
                _put_off(taken[n:], timedelta(seconds=PAUSE_SECONDS))
                raise

    def _asked(self, place: Place, taken: list[Row]) -> list[list[float]]:
        """One call, counted in the provider's pools, which also hear how it went."""
        texts = [row["text"] for row in taken]
        tokens = sum(map(len, texts)) // CHARS_PER_TOKEN
        with db.transaction():
            ticket = pools.enter(
                place.provider_id, tokens=tokens, job_id=NO_JOB, fence=0, seconds=PASS_SECONDS
            )
        if isinstance(ticket, Refusal):
            raise NotEmbedded("throttle", ticket.message)
        try:
            vectors = place.vectors(texts, seconds=CALL_SECONDS)
        except NotEmbedded as wrong:
            _failed(ticket, wrong)
            raise
        with db.transaction():
            pools.succeeded(ticket, tokens=tokens)
        return vectors

    def _say(self, what: str) -> None:
        """The same only once, until it has gone well again."""
        if what and what != self._said:
            log.warning("meaning.not_found_out", model=self.settings.embedding_model, why=what)
        self._said = what


def _failed(ticket: Ticket, wrong: NotEmbedded) -> None:
    with db.transaction():
        if wrong.kind == "request":
            pools.left(ticket)
        else:
            pools.failed(ticket, wrong.kind, wrong.message, wrong.retry_after)


def _put_off(taken: list[Row], pause: timedelta) -> None:
    with db.transaction():
        meaning.put_off(taken, pause)
