"""Indexes by which what is old is found without looking at what is young."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_index('ix_dead_letters_resubmitted', 'dead_letters', ['resubmitted_at'], unique=False, postgresql_where=sa.text('resubmitted_at IS NOT NULL'))
    # By beginnings: in a database with another collation than C the primary key cannot find them.
    op.create_index('ix_artifact_bytes_beginning', 'artifact_bytes', ['location'], unique=False, postgresql_ops={'location': 'text_pattern_ops'})


def downgrade() -> None:
    """Back, for development only."""
    op.drop_index('ix_artifact_bytes_beginning', table_name='artifact_bytes')
    op.drop_index('ix_dead_letters_resubmitted', table_name='dead_letters')
