"""Accounts: who may come in, with what, and what each role may do.

permissions.py  one table verb by role; `may`, `demand`, `own_only`
users.py        create, sign in, change, the first admin      passwords.py  argon2id
api_keys.py     machine keys                                  tokens.py     access tokens (JWT)
refresh.py      sessions: refresh tokens that work once       queries.py    reads
"""
