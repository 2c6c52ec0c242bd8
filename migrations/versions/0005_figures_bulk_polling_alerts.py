"""Figures over time, actions on many, how polling goes, alerts, saved views, and what is wanted of workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('alert_rules',
    sa.Column('rule', sa.Text(), nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('threshold', sa.Float(), nullable=True),
    sa.Column('updated_by', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('rule', name=op.f('pk_alert_rules'))
    )
    op.create_table('alerts',
    sa.Column('alert_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('rule', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), server_default='', nullable=False),
    sa.Column('severity', sa.Text(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('value', sa.Float(), nullable=True),
    sa.Column('worst', sa.Float(), nullable=True),
    sa.Column('threshold', sa.Float(), nullable=True),
    sa.Column('wrong_since', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('raised_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('calm_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('resolved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('acknowledged_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('acknowledged_by', sa.Text(), nullable=True),
    sa.Column('told_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("severity IN ('info','warning','critical')", name=op.f('ck_alerts_severity')),
    sa.CheckConstraint('raised_at IS NOT NULL OR resolved_at IS NULL', name=op.f('ck_alerts_resolved_was_raised')),
    sa.PrimaryKeyConstraint('alert_id', name=op.f('pk_alerts'))
    )
    op.create_index('ix_alerts_raised', 'alerts', ['raised_at'], unique=False)
    op.create_index('uq_alerts_open', 'alerts', ['rule', 'subject'], unique=True, postgresql_where=sa.text('resolved_at IS NULL'))
    op.create_table('bulk_actions',
    sa.Column('bulk_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('verb', sa.Text(), nullable=False),
    sa.Column('options', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('chosen', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('words', sa.Text(), server_default='', nullable=False),
    sa.Column('status', sa.Text(), server_default='pending', nullable=False),
    sa.Column('requested_by', sa.Text(), nullable=False),
    sa.Column('correlation_id', sa.Text(), nullable=True),
    sa.Column('matched', sa.Integer(), nullable=False),
    sa.Column('done', sa.Integer(), server_default='0', nullable=False),
    sa.Column('refused', sa.Integer(), server_default='0', nullable=False),
    sa.Column('refusals', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('cursor', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('abort_requested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('aborted_by', sa.Text(), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(status IN ('completed','aborted','failed')) = (finished_at IS NOT NULL)", name=op.f('ck_bulk_actions_final_is_finished')),
    sa.CheckConstraint("status IN ('pending','running','completed','aborted','failed')", name=op.f('ck_bulk_actions_status')),
    sa.CheckConstraint("subject IN ('jobs','dead_letters')", name=op.f('ck_bulk_actions_subject')),
    sa.PrimaryKeyConstraint('bulk_id', name=op.f('pk_bulk_actions'))
    )
    op.create_index('ix_bulk_actions_open', 'bulk_actions', ['created_at'], unique=False, postgresql_where=sa.text('finished_at IS NULL'))
    op.create_index('ix_bulk_actions_owner', 'bulk_actions', ['requested_by', 'bulk_id'], unique=False)
    op.create_table('error_groups',
    sa.Column('group_key', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('changed_by', sa.Text(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("status IN ('resolved','ignored')", name=op.f('ck_error_groups_status')),
    sa.PrimaryKeyConstraint('group_key', name=op.f('pk_error_groups'))
    )
    op.create_table('job_rollups',
    sa.Column('step', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=False),
    sa.Column('submitted_by', sa.Text(), nullable=False),
    sa.Column('completed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('failed', sa.Integer(), server_default='0', nullable=False),
    sa.Column('cancelled', sa.Integer(), server_default='0', nullable=False),
    sa.Column('run_seconds', sa.Float(), server_default='0', nullable=False),
    sa.Column('wait_seconds', sa.Float(), server_default='0', nullable=False),
    sa.Column('started', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint('step IN (60, 3600)', name=op.f('ck_job_rollups_step')),
    sa.PrimaryKeyConstraint('step', 'at', 'agent_id', 'submitted_by', name=op.f('pk_job_rollups'))
    )
    op.create_table('polling_minutes',
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('seen_by', sa.Text(), nullable=False),
    sa.Column('polls', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unchanged', sa.Integer(), server_default='0', nullable=False),
    sa.Column('failures', sa.Integer(), server_default='0', nullable=False),
    sa.Column('timeouts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('ms_sum', sa.Float(), server_default='0', nullable=False),
    sa.Column('ms_most', sa.Float(), server_default='0', nullable=False),
    sa.Column('ms_spread', sa.ARRAY(sa.Integer()), server_default='{0,0,0,0,0,0,0,0,0,0}', nullable=False),
    sa.Column('recoveries', sa.Integer(), server_default='0', nullable=False),
    sa.Column('recovery_seconds_sum', sa.Float(), server_default='0', nullable=False),
    sa.Column('recovery_seconds_most', sa.Float(), server_default='0', nullable=False),
    sa.Column('queries', sa.Integer(), server_default='0', nullable=False),
    sa.Column('query_ms_sum', sa.Float(), server_default='0', nullable=False),
    sa.Column('query_ms_most', sa.Float(), server_default='0', nullable=False),
    sa.Column('pages', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint("seen_by IN ('server','client')", name=op.f('ck_polling_minutes_seen_by')),
    sa.PrimaryKeyConstraint('at', 'seen_by', name=op.f('pk_polling_minutes'))
    )
    op.create_table('pool_samples',
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('pool', sa.Text(), nullable=False),
    sa.Column('waiting', sa.Integer(), nullable=False),
    sa.Column('oldest_seconds', sa.Float(), nullable=True),
    sa.Column('running', sa.Integer(), nullable=False),
    sa.Column('threads', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('at', 'pool', name=op.f('pk_pool_samples'))
    )
    op.create_table('saved_views',
    sa.Column('view_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('user_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('page', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('query', sa.Text(), nullable=False),
    sa.Column('shared', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.user_id'], name=op.f('fk_saved_views_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('view_id', name=op.f('pk_saved_views'))
    )
    op.create_index('uq_saved_views', 'saved_views', ['user_id', 'page', 'name'], unique=True)
    op.create_index('ix_jobs_owner_status', 'jobs', ['submitted_by', 'status', 'job_id'], unique=False)
    op.create_index('ix_jobs_error', 'jobs', ['job_id'], unique=False, postgresql_where=sa.text('error IS NOT NULL'))
    op.create_index('ix_job_attempts_worker', 'job_attempts', ['worker_id', 'started_at'], unique=False)
    op.add_column('workers', sa.Column('memory_bytes', sa.BigInteger(), nullable=True))
    op.add_column('workers', sa.Column('wanted', sa.Text(), nullable=True))
    op.add_column('workers', sa.Column('wanted_by', sa.Text(), nullable=True))
    op.add_column('workers', sa.Column('wanted_at', sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f('ck_workers_wanted'), 'workers', "wanted IN ('drain','stop')")


def downgrade() -> None:
    """Go back; charts lose their past, and what was said of errors, alerts and views is forgotten."""
    op.drop_constraint(op.f('ck_workers_wanted'), 'workers')
    op.drop_column('workers', 'wanted_at')
    op.drop_column('workers', 'wanted_by')
    op.drop_column('workers', 'wanted')
    op.drop_column('workers', 'memory_bytes')
    op.drop_index('ix_job_attempts_worker', table_name='job_attempts')
    op.drop_index('ix_jobs_error', table_name='jobs', postgresql_where=sa.text('error IS NOT NULL'))
    op.drop_index('ix_jobs_owner_status', table_name='jobs')
    op.drop_index('uq_saved_views', table_name='saved_views')
    op.drop_table('saved_views')
    op.drop_table('pool_samples')
    op.drop_table('polling_minutes')
    op.drop_table('job_rollups')
    op.drop_table('error_groups')
    op.drop_index('ix_bulk_actions_owner', table_name='bulk_actions')
    op.drop_index('ix_bulk_actions_open', table_name='bulk_actions', postgresql_where=sa.text('finished_at IS NULL'))
    op.drop_table('bulk_actions')
    op.drop_index('uq_alerts_open', table_name='alerts', postgresql_where=sa.text('resolved_at IS NULL'))
    op.drop_index('ix_alerts_raised', table_name='alerts')
    op.drop_table('alerts')
    op.drop_table('alert_rules')
