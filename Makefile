# Everything one does with Callboard. Needs make, and Python 3.11 or later with pip.

SHELL := /bin/sh
PYTHON := .venv/bin/python
PYTHONS := .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11 python
PYTEST ?= $(PYTHON) -m pytest -n 2

# The first Python that is new enough makes .venv, and installs into it when the given file has changed.
install = for python in $(PYTHONS); do \
	if "$$python" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then exec "$$python" -I app/ops/install.py $(1); fi; done; \
	echo 'Callboard needs Python 3.11 or later; none of these is: $(PYTHONS)' >&2; exit 1

.PHONY: help run test check bench bench-memory load bench-http bench-drain bench-peers bench-schedules bench-watching bench-lists bench-sessions bench-searching bench-growth bench-soak bench-paint storm hosts screenshots sbom format install install-tests
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## /  make \1\t/p' Makefile

run: install ## start Callboard with all it needs; PORT, CALLBOARD_HOME, DATABASE_URL, REDIS_URL are heard
	@exec $(PYTHON) -m app up --stop-with-parent

test: install-tests ## run the tests but for the slow suites (.ci/run runs those too)
	@$(PYTEST)

check: install-tests ## lint, format, types, import rules, audit, tests
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy app actors
	.venv/bin/lint-imports
	@.ci/audit
	$(PYTEST)

bench: bench-http bench-drain bench-peers bench-schedules bench-watching bench-lists bench-sessions bench-paint ## measure latency, throughput, others beside it, claim cost, lateness, watchers, long lists and paint; on a quiet machine, half an hour

bench-http: install-tests ## latency over HTTP under load, claims and lists over 100,000 waiting jobs
	@$(PYTHON) -m tests.bench.http

bench-drain: install-tests ## jobs a second beside raw Dramatiq
	@$(PYTHON) -m tests.bench.drain

bench-peers: install-tests ## Callboard beside Dramatiq, Celery, Procrastinate, RQ, pgqueuer, DBOS and Oban, and what survives the loss of Redis
	@$(PYTHON) -m tests.bench.peers

bench-schedules: install-tests ## how late a thousand schedules are that are due in the same minute
	@$(PYTHON) -m tests.bench.schedules

bench-watching: install-tests ## what a thousand open Job pages and a thousand polling programs cost; needs wrk
	@$(PYTHON) -m tests.bench.watching

bench-lists: install-tests ## the Jobs page and the API's lists over a million jobs, with every filter
	@$(PYTHON) -m tests.bench.lists

bench-sessions: install-tests ## two hundred sessions at once: commands, questions, callbacks
	@$(PYTHON) -m tests.bench.sessions

bench-growth: install-tests ## what a job costs with a thousand to a million before it, and a hundred thousand waiting
	@$(PYTHON) -m tests.bench.growth

bench-soak: install-tests ## a day in minutes: 200,000 jobs, and whether memory, connections, Redis or tables grow
	@$(PYTHON) -m tests.bench.soak

bench-searching: install-tests ## words, beginnings of words and meanings in a hundred thousand messages
	@$(PYTHON) -m tests.bench.searching

bench-paint: install-tests ## how soon pages are seen with the processor slowed down four times; needs Chromium
	@$(PYTHON) -m tests.bench.paint

load: install-tests ## the load scenarios by Locust: sustained, spike, ten thousand jobs in a minute; SCENARIO, MINUTES
	@$(PYTHON) -m tests.load $(if $(SCENARIO),--scenario $(SCENARIO)) $(if $(MINUTES),--minutes $(MINUTES))

hosts: install-tests ## seven hosts in network namespaces: cut off, slow, wrong clocks, dead; pgbouncer; needs root
	@$(PYTHON) -m pytest tests/hosts -n 0

storm: install-tests ## break everything for ten minutes under load; MINUTES, SEED
	@$(PYTHON) -m tests.chaos.storm --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

bench-memory: install-tests ## what a whole product costs in memory, at rest and after a load; a worker's start
	@$(PYTHON) -m tests.bench.memory

screenshots: install-tests ## pictures of every page into docs/screenshots; needs Chromium, takes some minutes
	@$(PYTHON) -m tests.pictures

sbom: install-tests ## write the bill of materials of a release to .cache/sbom.json; looks at licences
	@.ci/sbom

format: install-tests ## put the code into its form
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

install: ## make .venv with what Callboard needs
	@$(call install,requirements.txt)

install-tests: ## the same with what its tests need
	@$(call install,tests/requirements.txt)
