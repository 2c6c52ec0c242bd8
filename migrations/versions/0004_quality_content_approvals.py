"""Content pipeline, quality gates, approvals of jobs; a job may wait for a person."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
CHECKS = {
    ("jobs", "status"): (
        "status IN ('pending','queued','running','retry','completed','failed','cancelled')",
        "status IN ('pending','queued','running','awaiting_input','retry','completed','failed','cancelled')",
    ),
    ("job_attempts", "outcome"): (
        "outcome IN ('completed','failed','timeout','cancelled','lost','released')",
        "outcome IN ('completed','failed','timeout','cancelled','lost','released','asked')",
    ),
    ("approvals", "status"): (
        "status IN ('open','approved','rejected','expired','cancelled')",
        "status IN ('open','approved','rejected','sent_back','expired','cancelled')",
    ),
}
NEW_CHECKS = {
    ("jobs", "asked_since"): "(status = 'awaiting_input') = (asked_at IS NOT NULL)",
    ("jobs", "verdict"): "verdict IN ('passed','needs_review','rejected')",
    ("jobs", "quality_score"): "quality_score BETWEEN 0 AND 10",
    ("approvals", "kind"): "kind IN ('step','agent','gate','policy')",
    ("approvals", "edited_is_approved"): "edited IS NULL OR status = 'approved'",
}


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('approval_policies',
    sa.Column('policy_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('agents', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('teams', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('effects', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('over_usd', sa.Float(), nullable=True),
    sa.Column('question', sa.Text(), nullable=True),
    sa.Column('approvers', sa.ARRAY(sa.Text()), server_default='{admin}', nullable=False),
    sa.Column('deadline_minutes', sa.Integer(), nullable=True),
    sa.Column('on_timeout', sa.Text(), server_default='reject', nullable=False),
    sa.Column('escalate_minutes', sa.Integer(), nullable=True),
    sa.Column('escalate_to', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("on_timeout IN ('approve','reject')", name=op.f('ck_approval_policies_on_timeout')),
    sa.CheckConstraint('over_usd > 0', name=op.f('ck_approval_policies_over_usd')),
    sa.PrimaryKeyConstraint('policy_id', name=op.f('pk_approval_policies')),
    sa.UniqueConstraint('name', name=op.f('uq_approval_policies_name'))
    )
    op.create_table('quality_gates',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('definition', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('archived_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('name', 'version', name=op.f('pk_quality_gates'))
    )
    op.create_table('approval_links',
    sa.Column('token_hash', sa.Text(), nullable=False),
    sa.Column('approval_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['approval_id'], ['approvals.approval_id'], name=op.f('fk_approval_links_approval_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('token_hash', name=op.f('pk_approval_links'))
    )
    op.create_index(op.f('ix_approval_links_approval_id'), 'approval_links', ['approval_id'], unique=False)
    op.create_table('drafts',
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('source', sa.Text(), server_default='agent', nullable=False),
    sa.Column('content', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('model', sa.Text(), nullable=True),
    sa.Column('seconds', sa.Float(), nullable=True),
    sa.Column('made_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('score', sa.Float(), nullable=True),
    sa.Column('threshold', sa.Float(), nullable=True),
    sa.Column('verdict', sa.Text(), nullable=True),
    sa.Column('report', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.Column('judged_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("source IN ('agent','person')", name=op.f('ck_drafts_source')),
    sa.CheckConstraint("verdict IN ('passed','revise','needs_review','rejected')", name=op.f('ck_drafts_verdict')),
    sa.CheckConstraint('(report IS NULL) = (judged_at IS NULL)', name=op.f('ck_drafts_judged')),
    sa.ForeignKeyConstraint(['job_id'], ['jobs.job_id'], name=op.f('fk_drafts_job_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('job_id', 'number', name=op.f('pk_drafts'))
    )
    op.create_index('ix_drafts_made', 'drafts', ['made_at'], unique=False)
    op.add_column('approvals', sa.Column('kind', sa.Text(), server_default='step', nullable=False))
    op.add_column('approvals', sa.Column('fence', sa.BigInteger(), nullable=True))
    op.add_column('approvals', sa.Column('digest', sa.Text(), nullable=True))
    op.add_column('approvals', sa.Column('draft_number', sa.Integer(), nullable=True))
    op.add_column('approvals', sa.Column('policy_id', sa.Uuid(as_uuid=False), nullable=True))
    op.add_column('approvals', sa.Column('options', sa.ARRAY(sa.Text()), server_default='{approve,reject}', nullable=False))
    op.add_column('approvals', sa.Column('editable', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('approvals', sa.Column('escalate_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('approvals', sa.Column('escalate_to', sa.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.add_column('approvals', sa.Column('escalated_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('approvals', sa.Column('edited', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index('ix_approvals_escalate', 'approvals', ['escalate_at'], unique=False, postgresql_where=sa.text("status = 'open' AND escalate_at IS NOT NULL AND escalated_at IS NULL"))
    op.create_index('ix_approvals_job', 'approvals', ['job_id'], unique=False, postgresql_where=sa.text('job_id IS NOT NULL'))
    op.create_index('uq_approvals_job_open', 'approvals', ['job_id'], unique=True, postgresql_where=sa.text("status = 'open' AND job_id IS NOT NULL"))
    op.add_column('agents', sa.Column('effects', sa.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.add_column('jobs', sa.Column('verdict', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('quality_score', sa.Float(), nullable=True))
    op.create_index('ix_jobs_verdict', 'jobs', ['verdict', 'job_id'], unique=False, postgresql_where=sa.text('verdict IS NOT NULL'))
    op.add_column('jobs', sa.Column('headline', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('jobs', sa.Column('asked_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('jobs', sa.Column('asked_seconds', sa.Float(), server_default='0', nullable=False))
    for (table, name), (_, after) in CHECKS.items():
        op.drop_constraint(op.f(f'ck_{table}_{name}'), table)
        op.create_check_constraint(op.f(f'ck_{table}_{name}'), table, after)
    for (table, name), condition in NEW_CHECKS.items():
        op.create_check_constraint(op.f(f'ck_{table}_{name}'), table, condition)
    op.execute((SQL / "0004_asking.sql").read_text())


def downgrade() -> None:
    """Go back; gates, drafts and policies are forgotten, and jobs that wait for a person are run again."""
    op.execute("UPDATE jobs SET status = 'queued', status_reason = NULL WHERE status = 'awaiting_input'")
    op.execute("UPDATE job_attempts SET outcome = 'released' WHERE outcome = 'asked'")
    op.execute("UPDATE approvals SET status = 'rejected' WHERE status = 'sent_back'")
    for name, file in (("jobs_guard", "0003_workflows.sql"), ("jobs_move_allowed", "0001_jobs.sql")):
        before = (SQL / file).read_text()
        begin = before.index(f"FUNCTION {name}(")
        op.execute("CREATE OR REPLACE " + before[begin:before.index("\n$$;", begin) + 4])
    for table, name in NEW_CHECKS:
        op.drop_constraint(op.f(f'ck_{table}_{name}'), table)
    for (table, name), (before, _) in CHECKS.items():
        op.drop_constraint(op.f(f'ck_{table}_{name}'), table)
        op.create_check_constraint(op.f(f'ck_{table}_{name}'), table, before)
    op.drop_column('agents', 'effects')
    op.drop_column('jobs', 'asked_seconds')
    op.drop_column('jobs', 'asked_at')
    op.drop_column('jobs', 'headline')
    op.drop_column('jobs', 'quality_score')
    op.drop_index('ix_jobs_verdict', table_name='jobs', postgresql_where=sa.text('verdict IS NOT NULL'))
    op.drop_column('jobs', 'verdict')
    op.drop_index('uq_approvals_job_open', table_name='approvals', postgresql_where=sa.text("status = 'open' AND job_id IS NOT NULL"))
    op.drop_index('ix_approvals_job', table_name='approvals', postgresql_where=sa.text('job_id IS NOT NULL'))
    op.drop_index('ix_approvals_escalate', table_name='approvals', postgresql_where=sa.text("status = 'open' AND escalate_at IS NOT NULL AND escalated_at IS NULL"))
    op.drop_column('approvals', 'edited')
    op.drop_column('approvals', 'escalated_at')
    op.drop_column('approvals', 'escalate_to')
    op.drop_column('approvals', 'escalate_at')
    op.drop_column('approvals', 'editable')
    op.drop_column('approvals', 'options')
    op.drop_column('approvals', 'policy_id')
    op.drop_column('approvals', 'draft_number')
    op.drop_column('approvals', 'digest')
    op.drop_column('approvals', 'fence')
    op.drop_column('approvals', 'kind')
    op.drop_index('ix_drafts_made', table_name='drafts')
    op.drop_table('drafts')
    op.drop_index(op.f('ix_approval_links_approval_id'), table_name='approval_links')
    op.drop_table('approval_links')
    op.drop_table('quality_gates')
    op.drop_table('approval_policies')
