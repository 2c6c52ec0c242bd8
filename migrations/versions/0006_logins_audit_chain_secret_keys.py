"""Logins, links to choose a password, lockout; the audit's chain and who called what; keys, and traces of jobs."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

SQL = Path(__file__).parent.parent / "sql"


def upgrade() -> None:
    """Go forward; the release before keeps running meanwhile."""
    # All at once, in the order in which it takes them itself: one by one, between long indexes, would be deadlocks.
    op.execute("LOCK TABLE users, workflows, jobs, job_history, audit_log IN ACCESS EXCLUSIVE MODE")
    op.create_table('api_access',
    sa.Column('minute', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('endpoint', sa.Text(), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('ip', sa.Text(), nullable=False),
    sa.Column('count', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('minute', 'actor', 'method', 'endpoint', 'status', 'ip', name=op.f('pk_api_access'))
    )
    op.create_table('audit_chain',
    sa.Column('position', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('audit_id', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.Column('sealed_at', sa.DateTime(timezone=True), server_default=sa.text('clock_timestamp()'), nullable=False),
    sa.CheckConstraint('octet_length(digest) = 32', name=op.f('ck_audit_chain_digest_length')),
    sa.PrimaryKeyConstraint('position', name=op.f('pk_audit_chain')),
    sa.UniqueConstraint('audit_id', name=op.f('uq_audit_chain_audit_id'))
    )
    op.create_table('secret_keys',
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('fingerprint', sa.Text(), nullable=False),
    sa.Column('canary', sa.Text(), nullable=True),
    sa.Column('first_seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind IN ('signing','tokens','encryption')", name=op.f('ck_secret_keys_kind')),
    sa.PrimaryKeyConstraint('kind', 'fingerprint', name=op.f('pk_secret_keys'))
    )
    op.create_table('account_links',
    sa.Column('token_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('user_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('created_by', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("purpose IN ('reset','invite')", name=op.f('ck_account_links_purpose')),
    sa.CheckConstraint('octet_length(token_sha256) = 32', name=op.f('ck_account_links_hash_length')),
    sa.ForeignKeyConstraint(['user_id'], ['users.user_id'], name=op.f('fk_account_links_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('token_sha256', name=op.f('pk_account_links'))
    )
    op.create_index('ix_account_links_expires', 'account_links', ['expires_at'], unique=False)
    op.create_index('ix_account_links_user', 'account_links', ['user_id', 'created_at'], unique=False)
    op.create_table('logins',
    sa.Column('login_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('user_id', sa.Uuid(as_uuid=False), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('method', sa.Text(), server_default='password', nullable=False),
    sa.Column('ip', sa.Text(), nullable=True),
    sa.Column('user_agent', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind IN ('browser','token')", name=op.f('ck_logins_kind')),
    sa.CheckConstraint("method IN ('password','oidc','link')", name=op.f('ck_logins_method')),
    sa.ForeignKeyConstraint(['user_id'], ['users.user_id'], name=op.f('fk_logins_user_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('login_id', name=op.f('pk_logins'))
    )
    op.create_index('ix_logins_expires', 'logins', ['expires_at'], unique=False)
    op.create_index('ix_logins_user', 'logins', ['user_id', 'created_at'], unique=False)
    op.create_table('unknown_names',
    sa.Column('name_sha256', sa.LargeBinary(), nullable=False),
    sa.Column('failed_count', sa.Integer(), nullable=False),
    sa.Column('failed_since', sa.DateTime(timezone=True), nullable=False),
    sa.Column('locked_until', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('octet_length(name_sha256) = 32', name=op.f('ck_unknown_names_hash_length')),
    sa.PrimaryKeyConstraint('name_sha256', name=op.f('pk_unknown_names'))
    )
    op.add_column('audit_log', sa.Column('ip', sa.Text(), nullable=True))
    op.add_column('audit_log', sa.Column('user_agent', sa.Text(), nullable=True))
    op.create_index('ix_audit_log_action', 'audit_log', ['action', 'at'], unique=False)
    op.create_index('ix_audit_log_subject', 'audit_log', ['subject', 'at'], unique=False)
    op.create_index('ix_job_history_at', 'job_history', ['at'], unique=False, postgresql_using='brin')
    op.add_column('jobs', sa.Column('traceparent', sa.Text(), nullable=True))
    op.add_column('workflows', sa.Column('traceparent', sa.Text(), nullable=True))
    op.add_column('users', sa.Column('failed_count', sa.Integer(), server_default='0', nullable=False))
    op.add_column('users', sa.Column('failed_since', sa.DateTime(timezone=True), nullable=True))
    op.add_column('users', sa.Column('locked_until', sa.DateTime(timezone=True), nullable=True))
    op.add_column('users', sa.Column('oidc_issuer', sa.Text(), nullable=True))
    op.add_column('users', sa.Column('oidc_subject', sa.Text(), nullable=True))
    op.create_index('uq_users_oidc', 'users', ['oidc_issuer', 'oidc_subject'], unique=True, postgresql_where=sa.text('oidc_subject IS NOT NULL'))
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_chain "
        "FOR EACH ROW EXECUTE FUNCTION audit_append_only()"
    )
    for table in ("audit_log", "audit_chain"):
        op.execute(
            f"CREATE TRIGGER audit_not_emptied BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
        )
    op.execute((SQL / "0006_resealing.sql").read_text())
    # Who is signed in stays so: a login for each family of tokens that is alive.
    op.execute(
        """INSERT INTO logins (login_id, user_id, kind, created_at, seen_at, expires_at)
           SELECT family_id, (array_agg(user_id))[1], 'token', min(issued_at), max(issued_at), max(expires_at)
             FROM refresh_tokens WHERE revoked_at IS NULL GROUP BY family_id HAVING max(expires_at) > now()"""
    )


def downgrade() -> None:
    """Go back; browsers must sign in again, and nothing shows any more whether the audit was tampered with."""
    for name, file in (("jobs_final", "0001_jobs.sql"), ("workflows_guard", "0003_workflows.sql")):
        before = (SQL / file).read_text()
        begin = before.index(f"FUNCTION {name}(")
        op.execute("CREATE OR REPLACE " + before[begin:before.index("\n$$;", begin) + 4])
    op.execute("DROP TRIGGER audit_not_emptied ON audit_log")
    op.drop_index('uq_users_oidc', table_name='users', postgresql_where=sa.text('oidc_subject IS NOT NULL'))
    op.drop_column('users', 'oidc_subject')
    op.drop_column('users', 'oidc_issuer')
    op.drop_column('users', 'locked_until')
    op.drop_column('users', 'failed_since')
    op.drop_column('users', 'failed_count')
    op.drop_column('workflows', 'traceparent')
    op.drop_column('jobs', 'traceparent')
    op.drop_index('ix_job_history_at', table_name='job_history', postgresql_using='brin')
    op.drop_index('ix_audit_log_subject', table_name='audit_log')
    op.drop_index('ix_audit_log_action', table_name='audit_log')
    op.drop_column('audit_log', 'user_agent')
    op.drop_column('audit_log', 'ip')
    op.drop_index('ix_logins_user', table_name='logins')
    op.drop_index('ix_logins_expires', table_name='logins')
    op.drop_table('logins')
    op.drop_index('ix_account_links_user', table_name='account_links')
    op.drop_index('ix_account_links_expires', table_name='account_links')
    op.drop_table('account_links')
    op.drop_table('secret_keys')
    op.drop_table('unknown_names')
    op.drop_table('audit_chain')
    op.drop_table('api_access')
