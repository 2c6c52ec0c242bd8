"""How long a search over many sessions takes: words, beginnings of words, and meanings, for an admin and for a user.

    make bench-searching      or    python -m tests.bench.searching [--messages 100000] [--vectors 5000] [--times 20]

Messages are spread over a thousand sessions. `callb` is the beginning of a word that all of them have, `anch` of one
that a tenth of them have, `old` of one that only the oldest twentieth has. Vectors have 768 numbers, as most models
give; no provider is asked.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any

from app import seal_by
from app import settings as configuration
from app.accounts.permissions import Principal
from app.db import db, make_engine
from app.sessions import search
from app.sessions.meaning import Meant
from tests.bench.callbacks import figures
from tests.bench.drain import servers

SIZE = 768
MODEL = "bench/768"
ADMIN = Principal(user_id="bench-admin", email="admin@bench.test", role="admin")
USER = Principal(user_id="bench-user-7", email="user@bench.test", role="user")
_FILL = """
    INSERT INTO sessions (session_id, title, owner)
    SELECT 'bench-' || n, 'Session ' || n, 'bench-user-' || n %% 10 FROM generate_series(0, 999) n;
    INSERT INTO session_messages (message_id, session_id, place, speaker, text, added_by)
    SELECT (lpad(to_hex(n), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
           'bench-' || n %% 1000, 1 + n / 1000, 'Ada',
           'callboard ' || (ARRAY['harbour','tide','ferry','crane','anchor','lobster','pier','buoy','sail','gull'])[1 + n %% 10]
           || CASE WHEN n < %(messages)s / 20 THEN ' oldest' ELSE '' END || ' '
           || array_to_string(ARRAY(SELECT 'w' || (random() * 5000 + 0 * n)::int FROM generate_series(1, 30)), ' '), 'bench'
    FROM generate_series(0, %(messages)s - 1) n;
    INSERT INTO session_vectors (kind, subject_id, session_id, model, vector)
    SELECT 'message', message_id, session_id, %(model)s,
           ARRAY(SELECT ((random() - 0.5 + 0 * place) / 8)::real FROM generate_series(1, %(size)s))
    FROM session_messages ORDER BY message_id DESC LIMIT %(vectors)s;
    UPDATE session_vectors SET signs =
        (SELECT string_agg(CASE WHEN x > 0 THEN '1' ELSE '0' END, '')::varbit FROM unnest(vector) x);
    ANALYZE"""


def asked() -> dict[str, Callable[[], object]]:
    """What is asked, by name."""
    meant = Meant(MODEL, tuple(random.gauss(0, 1 / SIZE**0.5) for _ in range(SIZE)))
    kinds: dict[str, Callable[[], object]] = {}
    for name, who in (("admin", ADMIN), ("user", USER)):
        for words in ("anchor", "callboard", "w17 w18", "anch", "callb", "old"):
            kinds[f"{name}: {words}"] = lambda words=words, who=who: search.find(words, who)  # type: ignore[misc]
        kinds[f"{name}: by meaning"] = lambda who=who: search.find("nowhere", who, meant=meant)  # type: ignore[misc]
    return kinds


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Fill and ask."""
    os.environ["CALLBOARD_ENV"] = "test"
    settings = configuration.load()
    seal_by(settings)
    db.open(make_engine(settings.database_url, pool_size=2))
    with db.transaction():
        db.run("SET LOCAL statement_timeout = 0")
        db.run(_FILL, messages=chosen.messages, vectors=chosen.vectors, model=MODEL, size=SIZE)
    with db.quick():
        db.run("VACUUM ANALYZE session_messages")
        return {
            name: figures(sorted(_timed(ask) for _ in range(chosen.times))) for name, ask in asked().items()
        }


def _timed(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--vectors", type=int, default=5_000)
    parser.add_argument("--times", type=int, default=20)
    with servers():
        print(json.dumps({"ms": measure(parser.parse_args())}, indent=1))


if __name__ == "__main__":
    main()
