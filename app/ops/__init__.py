"""Running Callboard on one machine: embedded servers, supervised processes, the first admin.

install.py      make run's first half: the virtual environment
gunicorn_conf.py  the web server's fixed settings
supervisor.py   what starts, in which order, and how all of it stops
instance.py     one per home and port: the lock, the port, the sign of life
signals.py      SIGTERM and friends, heard only at pauses
processes.py    one supervised child: its group, its pid file, its back-off
leftovers.py    what a killed supervisor left behind, found and stopped
procfile.py     the lines of the Procfile as commands
logs.py         the children's logs: kept small, and their warnings shown
embedded.py     Postgres and Valkey from their wheels
ground.py       where the embedded servers keep their data, and under which account
"""
