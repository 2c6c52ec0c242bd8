"""Workflows, schedules, approvals, notifications; and what a finished job wakes."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('approvals',
    sa.Column('approval_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('step_id', sa.Text(), nullable=True),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('question', sa.Text(), nullable=False),
    sa.Column('shown', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('form', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('approvers', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('requested_by', sa.Text(), nullable=False),
    sa.Column('status', sa.Text(), server_default='open', nullable=False),
    sa.Column('deadline_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('on_timeout', sa.Text(), server_default='reject', nullable=False),
    sa.Column('answer', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('comment', sa.Text(), nullable=True),
    sa.Column('answered_by', sa.Text(), nullable=True),
    sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(status = 'open') = (answered_at IS NULL)", name=op.f('ck_approvals_answered')),
    sa.CheckConstraint("on_timeout IN ('approve','reject')", name=op.f('ck_approvals_on_timeout')),
    sa.CheckConstraint("status IN ('open','approved','rejected','expired','cancelled')", name=op.f('ck_approvals_status')),
    sa.CheckConstraint('workflow_id IS NOT NULL OR job_id IS NOT NULL', name=op.f('ck_approvals_of_something')),
    sa.PrimaryKeyConstraint('approval_id', name=op.f('pk_approvals'))
    )
    op.create_index('ix_approvals_asked', 'approvals', ['requested_by', 'approval_id'], unique=False)
    op.create_index('ix_approvals_open', 'approvals', ['deadline_at'], unique=False, postgresql_where=sa.text("status = 'open'"))
    op.create_index('ix_approvals_workflow', 'approvals', ['workflow_id', 'step_id'], unique=False)
    op.create_table('callback_secrets',
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('previous_secret', sa.Text(), nullable=True),
    sa.Column('previous_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('owner', name=op.f('pk_callback_secrets'))
    )
    op.create_table('followups',
    sa.Column('subject_type', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('tries', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.PrimaryKeyConstraint('subject_type', 'subject_id', name=op.f('pk_followups'))
    )
    op.create_index(op.f('ix_followups_at'), 'followups', ['at'], unique=False)
    op.create_table('notifications',
    sa.Column('notification_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('severity', sa.Text(), server_default='info', nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), server_default='', nullable=False),
    sa.Column('link', sa.Text(), nullable=True),
    sa.Column('audience', sa.Text(), nullable=False),
    sa.Column('subject_type', sa.Text(), nullable=True),
    sa.Column('subject_id', sa.Text(), nullable=True),
    sa.Column('group_key', sa.Text(), nullable=True),
    sa.Column('count', sa.Integer(), server_default='1', nullable=False),
    sa.Column('data', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("severity IN ('info','success','warning','error')", name=op.f('ck_notifications_severity')),
    sa.PrimaryKeyConstraint('notification_id', name=op.f('pk_notifications'))
    )
    op.create_index('ix_notifications_audience', 'notifications', ['audience', 'notification_id'], unique=False)
    op.create_index('ix_notifications_created', 'notifications', ['created_at'], unique=False)
    op.create_index('ix_notifications_group', 'notifications', ['audience', 'group_key', 'created_at'], unique=False, postgresql_where=sa.text('group_key IS NOT NULL'))
    op.create_table('notify_rules',
    sa.Column('rule_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=True),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("channel IN ('email','chat')", name=op.f('ck_notify_rules_channel')),
    sa.PrimaryKeyConstraint('rule_id', name=op.f('pk_notify_rules'))
    )
    op.create_table('webhook_endpoints',
    sa.Column('endpoint_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('events', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('previous_secret', sa.Text(), nullable=True),
    sa.Column('previous_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('disabled_reason', sa.Text(), nullable=True),
    sa.Column('failing_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('endpoint_id', name=op.f('pk_webhook_endpoints'))
    )
    op.create_table('workflow_templates',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('owner', sa.Text(), nullable=True),
    sa.Column('visibility', sa.Text(), server_default='private', nullable=False),
    sa.Column('current_version', sa.Integer(), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("visibility IN ('private','shared')", name=op.f('ck_workflow_templates_visibility')),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_workflow_templates'))
    )
    op.create_index('ix_workflow_templates_owner', 'workflow_templates', ['owner'], unique=False)
    op.create_table('workflows',
    sa.Column('workflow_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('inputs', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('status', sa.Text(), server_default='running', nullable=False),
    sa.Column('status_reason', sa.Text(), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('output', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('external_key', sa.Text(), nullable=True),
    sa.Column('template_name', sa.Text(), nullable=True),
    sa.Column('template_version', sa.Integer(), nullable=True),
    sa.Column('submitted_by', sa.Text(), nullable=False),
    sa.Column('priority_rank', sa.SmallInteger(), server_default='2', nullable=False),
    sa.Column('tags', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('correlation_id', sa.Text(), nullable=True),
    sa.Column('notify', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('schedule_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('parent_workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('parent_step_id', sa.Text(), nullable=True),
    sa.Column('depth', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('retry_of_workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('round', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('total_steps', sa.Integer(), nullable=False),
    sa.Column('completed_steps', sa.Integer(), server_default='0', nullable=False),
    sa.Column('submitted_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancel_requested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.CheckConstraint("(status IN ('completed','failed','cancelled')) = (finished_at IS NOT NULL)", name=op.f('ck_workflows_final_is_finished')),
    sa.CheckConstraint("status IN ('running','paused','completed','failed','cancelled')", name=op.f('ck_workflows_status')),
    sa.CheckConstraint('priority_rank BETWEEN 0 AND 3', name=op.f('ck_workflows_priority')),
    sa.ForeignKeyConstraint(['parent_workflow_id'], ['workflows.workflow_id'], name=op.f('fk_workflows_parent_workflow_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workflow_id', name=op.f('pk_workflows'))
    )
    op.create_index('ix_workflows_external_key', 'workflows', ['external_key', 'workflow_id'], unique=False, postgresql_where=sa.text('external_key IS NOT NULL'))
    op.create_index('ix_workflows_owner', 'workflows', ['submitted_by', 'workflow_id'], unique=False)
    op.create_index('ix_workflows_parent', 'workflows', ['parent_workflow_id'], unique=False, postgresql_where=sa.text('parent_workflow_id IS NOT NULL'))
    op.create_index('ix_workflows_schedule', 'workflows', ['schedule_id', 'workflow_id'], unique=False, postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.create_index('ix_workflows_status', 'workflows', ['status', 'workflow_id'], unique=False)
    op.create_index('ix_workflows_template', 'workflows', ['template_name', 'workflow_id'], unique=False, postgresql_where=sa.text('template_name IS NOT NULL'))
    op.create_table('deliveries',
    sa.Column('delivery_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('notification_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('endpoint_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('callback', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('owner', sa.Text(), nullable=True),
    sa.Column('subject_type', sa.Text(), nullable=True),
    sa.Column('subject_id', sa.Text(), nullable=True),
    sa.Column('payload', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('status', sa.Text(), server_default='pending', nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), server_default='0', nullable=False),
    sa.Column('retries', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('next_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=True),
    sa.Column('lease_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(status = 'pending') = (next_at IS NOT NULL)", name=op.f('ck_deliveries_pending_is_due')),
    sa.CheckConstraint("channel IN ('email','chat','webhook')", name=op.f('ck_deliveries_channel')),
    sa.CheckConstraint("status IN ('pending','delivered','failed','skipped')", name=op.f('ck_deliveries_status')),
    sa.ForeignKeyConstraint(['endpoint_id'], ['webhook_endpoints.endpoint_id'], name=op.f('fk_deliveries_endpoint_id'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['notification_id'], ['notifications.notification_id'], name=op.f('fk_deliveries_notification_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('delivery_id', name=op.f('pk_deliveries'))
    )
    op.create_index('ix_deliveries_created', 'deliveries', ['created_at'], unique=False)
    op.create_index('ix_deliveries_due', 'deliveries', ['next_at'], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_index('ix_deliveries_lane', 'deliveries', ['lane', 'next_at'], unique=False, postgresql_where=sa.text("status = 'pending'"))
    op.create_index(op.f('ix_deliveries_endpoint_id'), 'deliveries', ['endpoint_id'], unique=False)
    op.create_index(op.f('ix_deliveries_notification_id'), 'deliveries', ['notification_id'], unique=False)
    op.create_index('ix_deliveries_owner', 'deliveries', ['owner', 'delivery_id'], unique=False)
    op.create_index('ix_deliveries_subject', 'deliveries', ['subject_type', 'subject_id'], unique=False)
    op.create_table('notification_reads',
    sa.Column('notification_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('user_id', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['notification_id'], ['notifications.notification_id'], name=op.f('fk_notification_reads_notification_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('notification_id', 'user_id', name=op.f('pk_notification_reads'))
    )
    op.create_table('schedules',
    sa.Column('schedule_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=True),
    sa.Column('template_name', sa.Text(), nullable=True),
    sa.Column('template_version', sa.Integer(), nullable=True),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('parameters', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('options', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('priority_rank', sa.SmallInteger(), server_default='2', nullable=False),
    sa.Column('schedule_type', sa.Text(), nullable=False),
    sa.Column('cron_expression', sa.Text(), nullable=True),
    sa.Column('execute_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('timezone', sa.Text(), server_default='UTC', nullable=False),
    sa.Column('jitter_seconds', sa.Integer(), server_default='0', nullable=False),
    sa.Column('misfire', sa.Text(), server_default='run_once', nullable=False),
    sa.Column('grace_seconds', sa.Integer(), server_default='60', nullable=False),
    sa.Column('overlap', sa.Text(), server_default='allow', nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('ended', sa.Text(), nullable=True),
    sa.Column('next_fire_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_slot_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_fired_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_job_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('last_workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('submitted_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('version', sa.BigInteger(), server_default='1', nullable=False),
    sa.CheckConstraint("(schedule_type = 'recurring') = (cron_expression IS NOT NULL) AND (schedule_type = 'one_time') = (execute_at IS NOT NULL)", name=op.f('ck_schedules_has_its_time')),
    sa.CheckConstraint("ended IN ('fired','missed','cancelled')", name=op.f('ck_schedules_ended')),
    sa.CheckConstraint("misfire IN ('run_once','skip','all')", name=op.f('ck_schedules_misfire')),
    sa.CheckConstraint("overlap IN ('allow','skip','queue')", name=op.f('ck_schedules_overlap')),
    sa.CheckConstraint("schedule_type IN ('one_time','recurring')", name=op.f('ck_schedules_type')),
    sa.CheckConstraint('num_nonnulls(agent_id, template_name, definition) <= 1', name=op.f('ck_schedules_one_target')),
    sa.CheckConstraint('priority_rank BETWEEN 0 AND 3', name=op.f('ck_schedules_priority')),
    sa.ForeignKeyConstraint(['agent_id'], ['agents.agent_id'], name=op.f('fk_schedules_agent_id'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('schedule_id', name=op.f('pk_schedules'))
    )
    op.create_index('ix_schedules_due', 'schedules', ['next_fire_at'], unique=False, postgresql_where=sa.text('enabled AND ended IS NULL AND next_fire_at IS NOT NULL'))
    op.create_index('ix_schedules_owner', 'schedules', ['submitted_by', 'schedule_id'], unique=False)
    op.create_table('workflow_steps',
    sa.Column('workflow_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('step_id', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('parent_step_id', sa.Text(), nullable=True),
    sa.Column('case_index', sa.Integer(), nullable=True),
    sa.Column('item_index', sa.Integer(), nullable=True),
    sa.Column('item', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('depends_on', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('status', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('status_reason', sa.Text(), nullable=True),
    sa.Column('error', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('child_workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('approval_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('output', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('kept', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('round', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(status IN ('completed','failed','skipped','cancelled')) = (finished_at IS NOT NULL)", name=op.f('ck_workflow_steps_final_is_finished')),
    sa.CheckConstraint("kind IN ('agent','parallel','map','branch','sequence','workflow','approval')", name=op.f('ck_workflow_steps_kind')),
    sa.CheckConstraint("status IN ('waiting','running','awaiting_input','completed','failed','skipped','cancelled')", name=op.f('ck_workflow_steps_status')),
    sa.ForeignKeyConstraint(['workflow_id'], ['workflows.workflow_id'], name=op.f('fk_workflow_steps_workflow_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workflow_id', 'step_id', name=op.f('pk_workflow_steps'))
    )
    op.create_index('uq_workflow_steps_job', 'workflow_steps', ['job_id'], unique=True, postgresql_where=sa.text('job_id IS NOT NULL AND NOT kept'))
    op.create_table('workflow_template_versions',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['name'], ['workflow_templates.name'], name=op.f('fk_workflow_template_versions_name'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('name', 'version', name=op.f('pk_workflow_template_versions'))
    )
    op.create_table('delivery_attempts',
    sa.Column('delivery_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('duration_ms', sa.Integer(), nullable=True),
    sa.Column('status_code', sa.SmallInteger(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('response', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['delivery_id'], ['deliveries.delivery_id'], name=op.f('fk_delivery_attempts_delivery_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('delivery_id', 'number', name=op.f('pk_delivery_attempts'))
    )
    op.create_table('schedule_fires',
    sa.Column('schedule_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('slot_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('outcome', sa.Text(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('manual', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('workflow_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint("outcome IN ('fired','queued','skipped','missed','failed')", name=op.f('ck_schedule_fires_outcome')),
    sa.ForeignKeyConstraint(['schedule_id'], ['schedules.schedule_id'], name=op.f('fk_schedule_fires_schedule_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('schedule_id', 'slot_at', name=op.f('pk_schedule_fires'))
    )
    op.create_index('ix_schedule_fires_at', 'schedule_fires', ['at'], unique=False)
    op.create_index('ix_schedule_fires_queued', 'schedule_fires', ['schedule_id', 'slot_at'], unique=False, postgresql_where=sa.text("outcome = 'queued'"))
    op.add_column('jobs', sa.Column('budgeted', sa.Boolean(), server_default='false', nullable=False))
    op.execute((SQL / "0003_workflows.sql").read_text())


def downgrade() -> None:
    """Go back; workflows, schedules and notifications are forgotten."""
    op.execute("DROP TRIGGER workflows_guard ON workflows; DROP FUNCTION workflows_guard")
    for name, file in (("jobs_guard", "0001_jobs.sql"), ("jobs_claim", "0002_spending.sql")):
        before = (SQL / file).read_text()
        begin = before.index(f"FUNCTION {name}(")
        op.execute("CREATE OR REPLACE " + before[begin:before.index("\n$$;", begin) + 4])
    op.drop_column('jobs', 'budgeted')
    op.drop_index('ix_schedule_fires_queued', table_name='schedule_fires', postgresql_where=sa.text("outcome = 'queued'"))
    op.drop_index('ix_schedule_fires_at', table_name='schedule_fires')
    op.drop_table('schedule_fires')
    op.drop_table('delivery_attempts')
    op.drop_table('workflow_template_versions')
    op.drop_index('uq_workflow_steps_job', table_name='workflow_steps', postgresql_where=sa.text('job_id IS NOT NULL AND NOT kept'))
    op.drop_table('workflow_steps')
    op.drop_index('ix_schedules_owner', table_name='schedules')
    op.drop_index('ix_schedules_due', table_name='schedules', postgresql_where=sa.text('enabled AND ended IS NULL AND next_fire_at IS NOT NULL'))
    op.drop_table('schedules')
    op.drop_table('notification_reads')
    op.drop_index('ix_deliveries_subject', table_name='deliveries')
    op.drop_index('ix_deliveries_owner', table_name='deliveries')
    op.drop_index(op.f('ix_deliveries_notification_id'), table_name='deliveries')
    op.drop_index(op.f('ix_deliveries_endpoint_id'), table_name='deliveries')
    op.drop_index('ix_deliveries_lane', table_name='deliveries', postgresql_where=sa.text("status = 'pending'"))
    op.drop_index('ix_deliveries_due', table_name='deliveries', postgresql_where=sa.text("status = 'pending'"))
    op.drop_index('ix_deliveries_created', table_name='deliveries')
    op.drop_table('deliveries')
    op.drop_index('ix_workflows_template', table_name='workflows', postgresql_where=sa.text('template_name IS NOT NULL'))
    op.drop_index('ix_workflows_status', table_name='workflows')
    op.drop_index('ix_workflows_schedule', table_name='workflows', postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.drop_index('ix_workflows_parent', table_name='workflows', postgresql_where=sa.text('parent_workflow_id IS NOT NULL'))
    op.drop_index('ix_workflows_owner', table_name='workflows')
    op.drop_index('ix_workflows_external_key', table_name='workflows', postgresql_where=sa.text('external_key IS NOT NULL'))
    op.drop_table('workflows')
    op.drop_index('ix_workflow_templates_owner', table_name='workflow_templates')
    op.drop_table('workflow_templates')
    op.drop_table('webhook_endpoints')
    op.drop_table('notify_rules')
    op.drop_index('ix_notifications_group', table_name='notifications', postgresql_where=sa.text('group_key IS NOT NULL'))
    op.drop_index('ix_notifications_created', table_name='notifications')
    op.drop_index('ix_notifications_audience', table_name='notifications')
    op.drop_table('notifications')
    op.drop_index(op.f('ix_followups_at'), table_name='followups')
    op.drop_table('followups')
    op.drop_table('callback_secrets')
    op.drop_index('ix_approvals_workflow', table_name='approvals')
    op.drop_index('ix_approvals_open', table_name='approvals', postgresql_where=sa.text("status = 'open'"))
    op.drop_index('ix_approvals_asked', table_name='approvals')
    op.drop_table('approvals')
