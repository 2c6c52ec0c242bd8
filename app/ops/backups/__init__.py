"""Backups of everything that Callboard knows: made, proved by restoring them, kept for long enough, restored.

kept.py        which ones are kept on a given day (pure)
programs.py    pg_dump and pg_restore: found, and young enough for the server
sums.py        how many rows a table has and what they add up to, so that two copies can be compared
sealed.py      encryption in chunks, so that size costs no memory and nothing altered is opened
places.py      the folder or bucket; what is half written never looks finished
files.py       artifacts as a tar beside the dump
making.py      one backup, from the first row to the last file
proving.py     one backup restored into a server of its own, and compared
restoring.py   the way back into a database, with all that must be refused first
aftermath.py   what must be set right in a world that came back
queries.py     what can be read of them
upkeep.py      what the scheduler does: the daily one, the proof, removing what is too old
"""
