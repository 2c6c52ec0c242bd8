"""Claims and settles of many jobs by one statement."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Take whole batches; settle them with plans that are kept."""
    op.execute((SQL / "0010_turns.sql").read_text())


def downgrade() -> None:
    """Go back to one job after the other."""
    op.execute("DROP FUNCTION jobs_complete, jobs_take")
    before = (SQL / "0003_workflows.sql").read_text()
    begin = before.index("FUNCTION jobs_claim(")
    op.execute("CREATE OR REPLACE " + before[begin : before.index("\n$$;", begin) + 4])
