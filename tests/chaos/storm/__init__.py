"""A storm: a whole Callboard under load while everything around it breaks, by a seed; see docs/reliability.md.

    python -m tests.chaos.storm --minutes 10 --seed 7
    python -m tests.chaos.storm --minutes 10 --seed 7 --list      what would break when, without doing it

plan        what breaks when: nothing but arithmetic on the seed
catalogue   every kind of fault, with what it touches and for how long
faults      how each is done, and undone
product     the processes, servers and folders it falls upon
agents      what the jobs do, and the witness they write
orders      what is submitted; load: who submits it, and sends again what was not answered
gauge       how long it takes until everything goes on
checks      what must hold afterwards, besides tests/invariants.py
report      what is written down of it
"""
