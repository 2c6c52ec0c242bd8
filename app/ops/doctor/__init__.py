"""The doctor: looks at everything an installation stands on, and says what is wrong, why it matters and the way out.

findings.py     what is found, the score and the exit code
examination.py  runs the checks, each by itself, and is done within five seconds whatever hangs
checks.py       the table of all checks
at_start.py     what is doubtful, written into the log when the scheduler starts
postgres.py broker.py work.py safety.py machine.py   the checks
"""

from __future__ import annotations

from app.ops.doctor.examination import examine
from app.ops.doctor.findings import Finding, Report, Result
from app.ops.doctor.place import Place

__all__ = ["Finding", "Place", "Report", "Result", "examine"]
