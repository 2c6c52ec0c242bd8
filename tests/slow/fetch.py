"""Fetch what the slow tests install from npm, so that it is there when they begin: python -m tests.slow.fetch"""

from __future__ import annotations

from tests.slow import real_clis, real_strapi

if __name__ == "__main__":
    for name in real_clis.VERSIONS:
        real_clis.installed(name)
    real_strapi.installed()
