"""What a worker process is put together from."""

from __future__ import annotations

from actors.crew import make_worker
from app.settings import Settings


def test_no_middleware_opens_a_port_for_prometheus(settings: Settings) -> None:
    """X33: Dramatiq's own would listen on 0.0.0.0:9191, for anybody."""
    broker, _post = make_worker(settings)
    names = [type(each).__name__ for each in broker.middleware]
    assert "Shift" in names
    assert not [name for name in names if "prometheus" in name.lower()]
    assert all(not each.forks for each in broker.middleware)
