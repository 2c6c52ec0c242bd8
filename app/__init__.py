"""Callboard, put together: `create_app(settings)` makes a web process; no logic lives here."""

from __future__ import annotations

from flask import Flask
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

from app import settings as configuration
from app.polling.hints import Pace
from app.db import db, engine_options
from app.observe import logs

# Every table must be known to Base before Alembic compares and before mappers are configured.
from app.accounts import models as _accounts  # noqa: F401
from app.agents import models as _agents  # noqa: F401
from app.jobs import models as _jobs  # noqa: F401
from app.workers import models as _workers  # noqa: F401
from app import audit as _audit  # noqa: F401

__version__ = "0.1.0"


def bare_app(settings: configuration.Settings) -> Flask:
    """An app with the database and nothing else: for migrations, the command line and the seed."""
    app = Flask("app", root_path=str(configuration.ROOT), template_folder="templates", static_folder=None)
    app.config.update(
        CALLBOARD=settings,
        SECRET_KEY=settings.signing_key,
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_max_overflow,
            pool_recycle=settings.db_pool_recycle,
            statement_timeout_ms=settings.db_statement_timeout_ms,
            name="callboard-web",
        ),
    )
    db.init_app(app)
    Migrate(app, db, directory=str(configuration.ROOT / "migrations"), compare_type=True)
    return app


def create_app(settings: configuration.Settings | None = None) -> Flask:
    """A web process: rooms, doors, and the bell. Without `settings` the environment is read."""
    # The doors and the bell are imported here, not above: the command line and the workers import this package
    # too, and need neither.
    from actors.broker import make_ringer
    from app import api, dashboard
    from app.jobs import dispatch

    settings = settings or configuration.load()
    logs.configure(settings.log_level, settings.log_format)
    app = bare_app(settings)
    app.config["PACE"] = pace(settings)
    with app.app_context():
        db.open(db.engine)
    dispatch.use(make_ringer(settings.redis_url).ring)
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=1, x_host=1)  # type: ignore[method-assign]
    api.register(app, __version__)
    dashboard.register(app)
    return app


def pace(settings: configuration.Settings) -> Pace:
    """The polling intervals as the hints want them."""
    return Pace(
        queued=settings.poll_queued_ms,
        running=settings.poll_running_ms,
        retry=settings.poll_retry_ms,
        longest=settings.poll_max_ms,
        shortest=settings.poll_min_ms,
    )
