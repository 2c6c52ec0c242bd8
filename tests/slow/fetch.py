"""Fetch what the slow tests install from npm and PyPI, so that it is there when they begin: python -m tests.slow.fetch"""

from __future__ import annotations

from tests.load import installing
from tests.slow import linters, real_clis, real_inspector, real_s3, real_strapi

if __name__ == "__main__":
    for name in real_clis.VERSIONS:
        real_clis.installed(name)
    real_inspector.installed()
    real_strapi.installed()
    real_s3.installed()
    linters.installed()
    linters.heroku_schema()
    installing.locust()
