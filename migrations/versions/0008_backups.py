"""Backups: what was made, where it lies, and whether it was proved to be of use."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('backups',
    sa.Column('backup_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), server_default='running', nullable=False),
    sa.Column('slot_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('requested_by', sa.Text(), server_default='', nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('beat_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stage', sa.Text(), server_default='', nullable=False),
    sa.Column('done_bytes', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('location', sa.Text(), nullable=True),
    sa.Column('bytes', sa.BigInteger(), nullable=True),
    sa.Column('sha256', sa.Text(), nullable=True),
    sa.Column('encrypted_with', sa.Text(), nullable=True),
    sa.Column('artifacts', sa.Integer(), nullable=True),
    sa.Column('artifact_bytes', sa.BigInteger(), nullable=True),
    sa.Column('revision', sa.Text(), nullable=True),
    sa.Column('version', sa.Text(), nullable=False),
    sa.Column('tables', postgresql.JSONB(), nullable=True),
    sa.Column('verify_started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('verify_tries', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('verify_seconds', sa.Float(), nullable=True),
    sa.Column('verify_error', sa.Text(), nullable=True),
    sa.Column('pruned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.CheckConstraint("kind IN ('daily','manual','before_upgrade','before_restore')", name=op.f('ck_backups_kind')),
    sa.CheckConstraint("status IN ('running','done','verified','failed','pruned')", name=op.f('ck_backups_status')),
    sa.CheckConstraint("(kind = 'daily') = (slot_at IS NOT NULL)", name=op.f('ck_backups_slot_of_daily')),
    sa.CheckConstraint("(status = 'running') = (finished_at IS NULL)", name=op.f('ck_backups_finished')),
    sa.CheckConstraint("status IN ('running','failed') OR num_nulls(location, bytes, sha256, revision, tables) = 0", name=op.f('ck_backups_whole')),
    sa.CheckConstraint("status <> 'verified' OR verified_at IS NOT NULL", name=op.f('ck_backups_verified_since')),
    sa.CheckConstraint("(status = 'failed') = (error IS NOT NULL)", name=op.f('ck_backups_failed_why')),
    sa.CheckConstraint("(status = 'pruned') = (pruned_at IS NOT NULL)", name=op.f('ck_backups_pruned_since')),
    sa.PrimaryKeyConstraint('backup_id', name=op.f('pk_backups'))
    )
    op.create_index('ix_backups_started', 'backups', ['started_at'], unique=False)
    op.create_index('uq_backups_slot', 'backups', ['slot_at'], unique=True, postgresql_where=sa.text("slot_at IS NOT NULL AND status <> 'failed'"))


def downgrade() -> None:
    """Go back; the files of backups stay, what is known of them is lost."""
    op.drop_index('uq_backups_slot', table_name='backups', postgresql_where=sa.text("slot_at IS NOT NULL AND status <> 'failed'"))
    op.drop_index('ix_backups_started', table_name='backups')
    op.drop_table('backups')
