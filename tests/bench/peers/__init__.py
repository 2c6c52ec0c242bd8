"""Callboard beside other queues in one run: the same machine, the same Postgres and Redis, rounds interleaved.

    make bench-peers          or    python -m tests.bench.peers [--jobs 2000] [--rounds 3] [--only a,b]

Each peer is one file in `sides/` with the same few verbs. It runs inside a virtual environment of its own
(`.cache/peers/<name>`, from `requirements/<name>.txt`), so it imports nothing of Callboard.
"""
