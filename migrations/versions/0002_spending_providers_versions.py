"""What agents may spend, on whom they call, and what each of their versions was."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"
GATED = ("(NOT enabled OR budgeted OR max_concurrent_tasks IS NOT NULL OR rate_limit IS NOT NULL"
         " OR runner IN ('llm','cli','pipeline'))")
GATED_BEFORE = "(NOT enabled OR max_concurrent_tasks IS NOT NULL OR rate_limit IS NOT NULL)"


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('budgets',
    sa.Column('budget_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('scope', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=True),
    sa.Column('unit', sa.Text(), nullable=False),
    sa.Column('limit_amount', sa.Numeric(precision=20, scale=8), nullable=False),
    sa.Column('period', sa.Text(), nullable=False),
    sa.Column('rolling_days', sa.Integer(), nullable=True),
    sa.Column('warn_ratio', sa.Numeric(precision=4, scale=3), server_default='0.8', nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('spent', sa.Numeric(precision=20, scale=8), server_default='0', nullable=False),
    sa.Column('period_start', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('warned_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stopped_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(period = 'rolling') = (rolling_days IS NOT NULL)", name=op.f('ck_budgets_rolling')),
    sa.CheckConstraint("(scope = 'global') = (subject IS NULL)", name=op.f('ck_budgets_subject')),
    sa.CheckConstraint("period IN ('total','day','month','rolling')", name=op.f('ck_budgets_period')),
    sa.CheckConstraint("scope IN ('agent','schedule','team','global')", name=op.f('ck_budgets_scope')),
    sa.CheckConstraint("unit IN ('usd','tokens','minutes','runs')", name=op.f('ck_budgets_unit')),
    sa.CheckConstraint('limit_amount > 0', name=op.f('ck_budgets_limit')),
    sa.CheckConstraint('warn_ratio > 0 AND warn_ratio <= 1', name=op.f('ck_budgets_warn')),
    sa.PrimaryKeyConstraint('budget_id', name=op.f('pk_budgets')),
    postgresql_with={'fillfactor': '50'}
    )
    op.create_index('ix_budgets_subject', 'budgets', ['scope', 'subject'], unique=False)
    op.create_table('prices',
    sa.Column('provider_id', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('valid_from', sa.Date(), nullable=False),
    sa.Column('input_usd', sa.Numeric(precision=14, scale=6), nullable=False),
    sa.Column('output_usd', sa.Numeric(precision=14, scale=6), nullable=False),
    sa.Column('cache_read_usd', sa.Numeric(precision=14, scale=6), nullable=True),
    sa.Column('cache_write_usd', sa.Numeric(precision=14, scale=6), nullable=True),
    sa.Column('changed_by', sa.Text(), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('provider_id', 'model', 'valid_from', name=op.f('pk_prices'))
    )
    op.create_table('providers',
    sa.Column('provider_id', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('base_url', sa.Text(), nullable=False),
    sa.Column('key_name', sa.Text(), nullable=True),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('billing', sa.Text(), server_default='api', nullable=False),
    sa.Column('demo', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('position', sa.Integer(), nullable=True),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('source', sa.Text(), server_default='settings', nullable=False),
    sa.Column('admin_set', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('requests_per_minute', sa.Integer(), nullable=True),
    sa.Column('tokens_per_minute', sa.Integer(), nullable=True),
    sa.Column('max_concurrent', sa.Integer(), nullable=True),
    sa.Column('request_room', sa.Float(), nullable=True),
    sa.Column('token_room', sa.Float(), nullable=True),
    sa.Column('refilled_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('state', sa.Text(), server_default='closed', nullable=False),
    sa.Column('failures', sa.Integer(), server_default='0', nullable=False),
    sa.Column('trips', sa.Integer(), server_default='0', nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('open_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('error_class', sa.Text(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('recent_failures', sa.ARRAY(sa.DateTime(timezone=True)), server_default='{}', nullable=False),
    sa.Column('last_failed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_ok_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lift_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('health_status', sa.Text(), nullable=True),
    sa.Column('health_reason', sa.Text(), nullable=True),
    sa.Column('health_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'closed') = (opened_at IS NULL)", name=op.f('ck_providers_open_since')),
    sa.CheckConstraint("billing IN ('api','subscription','local')", name=op.f('ck_providers_billing')),
    sa.CheckConstraint("kind IN ('openai','anthropic')", name=op.f('ck_providers_kind')),
    sa.CheckConstraint("provider_id ~ '^[a-z0-9-]+$'", name=op.f('ck_providers_provider_id')),
    sa.CheckConstraint("state IN ('closed','open','half_open')", name=op.f('ck_providers_state')),
    sa.CheckConstraint('coalesce(requests_per_minute, 1) > 0 AND coalesce(tokens_per_minute, 1) > 0 AND coalesce(max_concurrent, 1) > 0', name=op.f('ck_providers_pools')),
    sa.PrimaryKeyConstraint('provider_id', name=op.f('pk_providers')),
    postgresql_with={'fillfactor': '50'}
    )
    op.create_table('usage_events',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('call_id', sa.Text(), nullable=False),
    sa.Column('part', sa.Integer(), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=False),
    sa.Column('team', sa.Text(), nullable=False),
    sa.Column('submitted_by', sa.Text(), nullable=False),
    sa.Column('schedule_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('provider', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('input_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('output_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('cache_read_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('cache_write_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('reasoning_tokens', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('cost_usd', sa.Numeric(precision=20, scale=8), nullable=True),
    sa.Column('cost_status', sa.Text(), nullable=False),
    sa.Column('billing', sa.Text(), nullable=False),
    sa.Column('price_version', sa.Text(), nullable=True),
    sa.CheckConstraint("(cost_status IN ('reported','derived')) = (cost_usd IS NOT NULL)", name=op.f('ck_usage_events_priced_has_cost')),
    sa.CheckConstraint("billing IN ('api','subscription','local')", name=op.f('ck_usage_events_billing')),
    sa.CheckConstraint("cost_status IN ('reported','derived','unpriced','unaccounted')", name=op.f('ck_usage_events_cost_status')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_usage_events'))
    )
    op.create_index('ix_usage_events_agent', 'usage_events', ['agent_id', 'at'], unique=False)
    op.create_index('ix_usage_events_at', 'usage_events', ['at'], unique=False)
    op.create_index('ix_usage_events_schedule', 'usage_events', ['schedule_id', 'at'], unique=False, postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.create_index('ix_usage_events_team', 'usage_events', ['team', 'at'], unique=False)
    op.create_index('uq_usage_events_part', 'usage_events', ['job_id', 'fence', 'call_id', 'part'], unique=True)
    op.create_table('agent_holds',
    sa.Column('agent_id', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), server_default='', nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('since', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("code IN ('provider_open','budget')", name=op.f('ck_agent_holds_code')),
    sa.ForeignKeyConstraint(['agent_id'], ['agents.agent_id'], name=op.f('fk_agent_holds_agent_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('agent_id', 'code', 'subject', name=op.f('pk_agent_holds'))
    )
    op.create_table('budget_reservations',
    sa.Column('budget_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=20, scale=8), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['budget_id'], ['budgets.budget_id'], name=op.f('fk_budget_reservations_budget_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('budget_id', 'job_id', 'fence', name=op.f('pk_budget_reservations'))
    )
    op.create_index('ix_budget_reservations_job', 'budget_reservations', ['job_id', 'fence'], unique=False)
    op.create_table('provider_passes',
    sa.Column('pass_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('provider_id', sa.Text(), nullable=False),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('fence', sa.BigInteger(), nullable=False),
    sa.Column('tokens', sa.Integer(), server_default='0', nullable=False),
    sa.Column('probe', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('entered_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['provider_id'], ['providers.provider_id'], name=op.f('fk_provider_passes_provider_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('pass_id', name=op.f('pk_provider_passes'))
    )
    op.create_index('ix_provider_passes_provider', 'provider_passes', ['provider_id', 'expires_at'], unique=False)
    op.add_column('agent_versions', sa.Column('overlay', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('agent_versions', sa.Column('origin', sa.Text(), nullable=True))
    op.add_column('agents', sa.Column('budget', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('agents', sa.Column('watchdog', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('agents', sa.Column('providers', sa.ARRAY(sa.Text()), nullable=True))
    op.add_column('agents', sa.Column('budgeted', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('agents', sa.Column('aliases', sa.ARRAY(sa.Text()), server_default='{}', nullable=False))
    op.add_column('agents', sa.Column('configured', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.create_table('agent_problems',
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('agent_id', sa.Text(), nullable=True),
    sa.Column('line', sa.Integer(), nullable=True),
    sa.Column('pointer', sa.Text(), nullable=False),
    sa.Column('message', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('path', 'position', name=op.f('pk_agent_problems'))
    )
    op.add_column('job_attempts', sa.Column('pins', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column('jobs', sa.Column('replay_of_job_id', sa.Uuid(as_uuid=False), nullable=True))
    op.add_column('jobs', sa.Column('pinned', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('jobs', sa.Column('schedule_id', sa.Uuid(as_uuid=False), nullable=True))
    op.add_column('jobs', sa.Column('watchdog', postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.create_index('ix_jobs_replay_of', 'jobs', ['replay_of_job_id'], unique=False, postgresql_where=sa.text('replay_of_job_id IS NOT NULL'))
    op.create_index('ix_jobs_schedule', 'jobs', ['schedule_id', 'job_id'], unique=False, postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.drop_column('agents', 'gated')
    op.add_column('agents', sa.Column('gated', sa.Boolean(), sa.Computed(GATED, persisted=True), nullable=False))
    op.execute((SQL / "0002_spending.sql").read_text())


def downgrade() -> None:
    """Go back; what was spent is forgotten."""
    first = (SQL / "0001_jobs.sql").read_text()
    op.execute("DROP TRIGGER usage_append_only ON usage_events; DROP FUNCTION usage_append_only; DROP FUNCTION jobs_claim, jobs_take_room")
    for name in ("jobs_claim", "jobs_take_room"):
        begin = first.index(f"CREATE FUNCTION {name}(")
        op.execute(first[begin:first.index("\n$$;", begin) + 4])
    op.drop_column('agents', 'gated')
    op.drop_index('ix_jobs_schedule', table_name='jobs', postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.drop_index('ix_jobs_replay_of', table_name='jobs', postgresql_where=sa.text('replay_of_job_id IS NOT NULL'))
    op.drop_column('jobs', 'watchdog')
    op.drop_column('jobs', 'schedule_id')
    op.drop_column('jobs', 'pinned')
    op.drop_column('jobs', 'replay_of_job_id')
    op.drop_column('job_attempts', 'pins')
    op.drop_table('agent_problems')
    op.drop_column('agents', 'configured')
    op.drop_column('agents', 'aliases')
    op.drop_column('agents', 'budgeted')
    op.drop_column('agents', 'providers')
    op.drop_column('agents', 'watchdog')
    op.drop_column('agents', 'budget')
    op.drop_column('agent_versions', 'origin')
    op.drop_column('agent_versions', 'overlay')
    op.drop_index('ix_provider_passes_provider', table_name='provider_passes')
    op.drop_table('provider_passes')
    op.drop_index('ix_budget_reservations_job', table_name='budget_reservations')
    op.drop_table('budget_reservations')
    op.drop_table('agent_holds')
    op.drop_index('uq_usage_events_part', table_name='usage_events')
    op.drop_index('ix_usage_events_team', table_name='usage_events')
    op.drop_index('ix_usage_events_schedule', table_name='usage_events', postgresql_where=sa.text('schedule_id IS NOT NULL'))
    op.drop_index('ix_usage_events_at', table_name='usage_events')
    op.drop_index('ix_usage_events_agent', table_name='usage_events')
    op.drop_table('usage_events')
    op.drop_table('providers')
    op.drop_table('prices')
    op.drop_index('ix_budgets_subject', table_name='budgets')
    op.drop_table('budgets')
    op.add_column('agents', sa.Column('gated', sa.Boolean(), sa.Computed(GATED_BEFORE, persisted=True), nullable=False))
