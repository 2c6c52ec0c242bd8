"""Sessions with what is said, remembered and made in them; webhooks that come in; jobs that hand out jobs."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    op.create_table('hooks',
    sa.Column('hook_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), server_default='', nullable=False),
    sa.Column('provider', sa.Text(), server_default='github', nullable=False),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('previous_secret', sa.Text(), nullable=True),
    sa.Column('previous_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ip_allowlist', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('last_received_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_refused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_refusal', sa.Text(), nullable=True),
    sa.CheckConstraint("provider IN ('github','standard','session')", name=op.f('ck_hooks_provider')),
    sa.CheckConstraint("slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'", name=op.f('ck_hooks_slug')),
    sa.PrimaryKeyConstraint('hook_id', name=op.f('pk_hooks')),
    sa.UniqueConstraint('slug', name=op.f('uq_hooks_slug'))
    )
    op.create_index('ix_hooks_owner', 'hooks', ['owner'], unique=False)
    op.create_table('sessions',
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), server_default='', nullable=False),
    sa.Column('status', sa.Text(), server_default='active', nullable=False),
    sa.Column('owner', sa.Text(), nullable=False),
    sa.Column('participants', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('metadata', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('callback_url', sa.Text(), nullable=True),
    sa.Column('summary', postgresql.JSONB(), nullable=True),
    sa.Column('last_seq', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('message_count', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('completed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_by', sa.Text(), nullable=True),
    sa.Column('words', postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', title || ' ' || session_id) || to_tsvector('simple', title || ' ' || session_id)", persisted=True), nullable=False),
    sa.CheckConstraint("(status = 'completed') = (completed_at IS NOT NULL)", name=op.f('ck_sessions_completed_since')),
    sa.CheckConstraint("session_id ~ '^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}$'", name=op.f('ck_sessions_id')),
    sa.CheckConstraint("status IN ('active','paused','completed')", name=op.f('ck_sessions_status')),
    sa.PrimaryKeyConstraint('session_id', name=op.f('pk_sessions'))
    )
    op.create_index('ix_sessions_living', 'sessions', ['updated_at', 'session_id'], unique=False, postgresql_where=sa.text('deleted_at IS NULL'))
    op.create_index('ix_sessions_owner', 'sessions', ['owner', 'updated_at'], unique=False, postgresql_where=sa.text('deleted_at IS NULL'))
    op.create_index('ix_sessions_participants', 'sessions', ['participants'], unique=False, postgresql_using='gin')
    op.create_index('ix_sessions_words', 'sessions', ['words'], unique=False, postgresql_using='gin')
    op.create_table('hook_deliveries',
    sa.Column('delivery_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('position', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('hook_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('external_id', sa.Text(), nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('headers', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('results', postgresql.JSONB(), server_default='[]', nullable=False),
    sa.Column('times_received', sa.Integer(), server_default='1', nullable=False),
    sa.Column('replay_of', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('replayed_by', sa.Text(), nullable=True),
    sa.Column('ip', sa.Text(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("status IN ('done','ignored','failed')", name=op.f('ck_hook_deliveries_status')),
    sa.ForeignKeyConstraint(['hook_id'], ['hooks.hook_id'], name=op.f('fk_hook_deliveries_hook_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('delivery_id', name=op.f('pk_hook_deliveries')),
    sa.UniqueConstraint('position', name=op.f('uq_hook_deliveries_position'))
    )
    op.create_index('ix_hook_deliveries_hook', 'hook_deliveries', ['hook_id', 'position'], unique=False)
    op.create_index('ix_hook_deliveries_received', 'hook_deliveries', ['received_at'], unique=False)
    op.create_index('uq_hook_deliveries_external', 'hook_deliveries', ['hook_id', 'external_id'], unique=True, postgresql_where=sa.text('replay_of IS NULL'))
    op.create_table('hook_rules',
    sa.Column('rule_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('hook_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('events', sa.ARRAY(sa.Text()), nullable=False),
    sa.Column('conditions', postgresql.JSONB(), server_default='[]', nullable=False),
    sa.Column('action', postgresql.JSONB(), nullable=False),
    sa.Column('enabled', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['hook_id'], ['hooks.hook_id'], name=op.f('fk_hook_rules_hook_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('rule_id', name=op.f('pk_hook_rules'))
    )
    op.create_index('ix_hook_rules_hook', 'hook_rules', ['hook_id', 'place'], unique=False)
    op.create_table('memories',
    sa.Column('memory_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), server_default='fact', nullable=False),
    sa.Column('tags', sa.ARRAY(sa.Text()), server_default='{}', nullable=False),
    sa.Column('importance', sa.SmallInteger(), server_default='5', nullable=False),
    sa.Column('metadata', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('stored_by', sa.Text(), nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('words', postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', replace(replace(key, '_', ' '), '-', ' ') || ' ' || content) || to_tsvector('simple', replace(replace(key, '_', ' '), '-', ' ') || ' ' || content)", persisted=True), nullable=False),
    sa.CheckConstraint('importance BETWEEN 1 AND 10', name=op.f('ck_memories_importance')),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.session_id'], name=op.f('fk_memories_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('memory_id', name=op.f('pk_memories'))
    )
    op.create_index('ix_memories_tags', 'memories', ['tags'], unique=False, postgresql_using='gin')
    op.create_index('ix_memories_words', 'memories', ['words'], unique=False, postgresql_using='gin')
    op.create_index('uq_memories_key', 'memories', ['session_id', 'key'], unique=True)
    op.create_table('session_artifacts',
    sa.Column('artifact_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('type', sa.Text(), server_default='text/markdown', nullable=False),
    sa.Column('content', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('job_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('job_artifact_id', sa.Uuid(as_uuid=False), nullable=True),
    sa.Column('size_bytes', sa.Integer(), server_default='0', nullable=False),
    sa.Column('metadata', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('added_by', sa.Text(), nullable=False),
    sa.Column('added_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('words', postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', name || ' ' || left(coalesce(content, ''), 200000)) || to_tsvector('simple', name || ' ' || left(coalesce(content, ''), 200000))", persisted=True), nullable=False),
    sa.CheckConstraint('num_nonnulls(content, url, job_artifact_id) = 1', name=op.f('ck_session_artifacts_one_place')),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.session_id'], name=op.f('fk_session_artifacts_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('artifact_id', name=op.f('pk_session_artifacts'))
    )
    op.create_index('ix_session_artifacts_session', 'session_artifacts', ['session_id', 'artifact_id'], unique=False)
    op.create_index('ix_session_artifacts_words', 'session_artifacts', ['words'], unique=False, postgresql_using='gin')
    op.create_index('uq_session_artifacts_job_file', 'session_artifacts', ['session_id', 'job_artifact_id'], unique=True, postgresql_where=sa.text('job_artifact_id IS NOT NULL'))
    op.create_table('session_events',
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.Column('type', sa.Text(), nullable=False),
    sa.Column('data', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('by', sa.Text(), server_default='', nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.session_id'], name=op.f('fk_session_events_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('session_id', 'seq', name=op.f('pk_session_events'))
    )
    op.create_table('session_messages',
    sa.Column('message_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('place', sa.Integer(), nullable=False),
    sa.Column('speaker', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('said_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('metadata', postgresql.JSONB(), server_default='{}', nullable=False),
    sa.Column('added_by', sa.Text(), nullable=False),
    sa.Column('added_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('words', postgresql.TSVECTOR(), sa.Computed("to_tsvector('english', speaker || ' ' || text) || to_tsvector('simple', speaker || ' ' || text)", persisted=True), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.session_id'], name=op.f('fk_session_messages_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('message_id', name=op.f('pk_session_messages'))
    )
    op.create_index('ix_session_messages_words', 'session_messages', ['words'], unique=False, postgresql_using='gin')
    op.create_index('uq_session_messages_place', 'session_messages', ['session_id', 'place'], unique=True)
    op.create_table('session_vectors',
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('session_id', sa.Text(), nullable=False),
    sa.Column('model', sa.Text(), nullable=False),
    sa.Column('of_version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('vector', sa.ARRAY(sa.REAL()), server_default='{}', nullable=False),
    sa.Column('signs', postgresql.BIT(varying=True), nullable=True),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['sessions.session_id'], name=op.f('fk_session_vectors_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('kind', 'subject_id', name=op.f('pk_session_vectors'))
    )
    op.create_index('ix_session_vectors_session', 'session_vectors', ['session_id', 'model', 'kind', 'subject_id'], unique=False)
    op.create_index('ix_session_vectors_waiting', 'session_vectors', ['subject_id'], unique=False, postgresql_where=sa.text('signs IS NULL'))
    op.add_column('jobs', sa.Column('session_id', sa.Text(), nullable=True))
    op.add_column('jobs', sa.Column('parent_job_id', sa.Uuid(as_uuid=False), nullable=True))
    op.add_column('jobs', sa.Column('depth', sa.SmallInteger(), server_default='0', nullable=False))
    op.add_column('jobs', sa.Column('child_key', sa.Text(), nullable=True))
    op.add_column('workflows', sa.Column('session_id', sa.Text(), nullable=True))
    op.create_index('ix_jobs_parent', 'jobs', ['parent_job_id'], unique=False, postgresql_where=sa.text('parent_job_id IS NOT NULL'))
    op.create_index('uq_jobs_child_key', 'jobs', ['parent_job_id', 'child_key'], unique=True, postgresql_where=sa.text('child_key IS NOT NULL'))
    op.create_index('ix_jobs_session', 'jobs', ['session_id', 'job_id'], unique=False, postgresql_where=sa.text('session_id IS NOT NULL'))
    op.create_check_constraint('depth_of_parent', 'jobs', '(parent_job_id IS NULL) = (depth = 0)')
    op.execute((SQL / "0007_delegating.sql").read_text())


def downgrade() -> None:
    """Go back; sessions, webhooks and who handed out which job are lost."""
    before = (SQL / "0004_asking.sql").read_text()
    begin = before.index("FUNCTION jobs_guard(")
    op.execute("CREATE OR REPLACE " + before[begin:before.index("\n$$;", begin) + 4])
    op.drop_constraint('depth_of_parent', 'jobs', type_='check')
    op.drop_index('ix_jobs_session', table_name='jobs', postgresql_where=sa.text('session_id IS NOT NULL'))
    op.drop_index('ix_jobs_parent', table_name='jobs', postgresql_where=sa.text('parent_job_id IS NOT NULL'))
    op.drop_index('uq_jobs_child_key', table_name='jobs', postgresql_where=sa.text('child_key IS NOT NULL'))
    op.drop_column('jobs', 'child_key')
    op.drop_column('workflows', 'session_id')
    op.drop_column('jobs', 'depth')
    op.drop_column('jobs', 'parent_job_id')
    op.drop_column('jobs', 'session_id')
    op.drop_index('ix_session_vectors_waiting', table_name='session_vectors', postgresql_where=sa.text('signs IS NULL'))
    op.drop_index('ix_session_vectors_session', table_name='session_vectors')
    op.drop_table('session_vectors')
    op.drop_index('uq_session_messages_place', table_name='session_messages')
    op.drop_index('ix_session_messages_words', table_name='session_messages', postgresql_using='gin')
    op.drop_table('session_messages')
    op.drop_table('session_events')
    op.drop_index('uq_session_artifacts_job_file', table_name='session_artifacts', postgresql_where=sa.text('job_artifact_id IS NOT NULL'))
    op.drop_index('ix_session_artifacts_words', table_name='session_artifacts', postgresql_using='gin')
    op.drop_index('ix_session_artifacts_session', table_name='session_artifacts')
    op.drop_table('session_artifacts')
    op.drop_index('uq_memories_key', table_name='memories')
    op.drop_index('ix_memories_words', table_name='memories', postgresql_using='gin')
    op.drop_index('ix_memories_tags', table_name='memories', postgresql_using='gin')
    op.drop_table('memories')
    op.drop_index('ix_hook_rules_hook', table_name='hook_rules')
    op.drop_table('hook_rules')
    op.drop_index('uq_hook_deliveries_external', table_name='hook_deliveries', postgresql_where=sa.text('replay_of IS NULL'))
    op.drop_index('ix_hook_deliveries_received', table_name='hook_deliveries')
    op.drop_index('ix_hook_deliveries_hook', table_name='hook_deliveries')
    op.drop_table('hook_deliveries')
    op.drop_index('ix_sessions_words', table_name='sessions', postgresql_using='gin')
    op.drop_index('ix_sessions_participants', table_name='sessions', postgresql_using='gin')
    op.drop_index('ix_sessions_owner', table_name='sessions', postgresql_where=sa.text('deleted_at IS NULL'))
    op.drop_index('ix_sessions_living', table_name='sessions', postgresql_where=sa.text('deleted_at IS NULL'))
    op.drop_table('sessions')
    op.drop_index('ix_hooks_owner', table_name='hooks')
    op.drop_table('hooks')
