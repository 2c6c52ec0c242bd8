# Callboard as an image: web by default; worker, scheduler and release are the same image with another line of the
# Procfile as its command (compose.yaml has them all). It holds no secret and no state; what is kept lies in /data.

FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /requirements.txt
# Wheels only, each by its hash: what was not locked cannot come in, and no compiler is needed.
RUN python -m venv /opt/callboard \
    && /opt/callboard/bin/pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r /requirements.txt

FROM python:3.11-slim-bookworm
# git is what some built-in agents look into repositories with. Its version is Debian's newest, for the sake of its fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 callboard \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin callboard \
    && install --directory --owner=callboard --group=callboard --mode=0700 /data
ENV PATH=/opt/callboard/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CALLBOARD_HOME=/data \
    CALLBOARD_HOST=0.0.0.0 \
    PORT=8000
WORKDIR /srv/callboard
COPY --from=packages /opt/callboard /opt/callboard
COPY Procfile README.md CHANGELOG.md LICENSE ./
COPY app app
COPY actors actors
COPY templates templates
COPY static static
COPY migrations migrations
COPY docs docs
COPY examples examples
RUN python -m compileall -q app actors migrations
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=4)"]
# The shell fills in the variables and is replaced: gunicorn is process 1 and hears SIGTERM itself.
CMD ["/bin/sh", "-c", "exec gunicorn --config app/ops/gunicorn_conf.py --bind ${CALLBOARD_HOST:-0.0.0.0}:${PORT:-8000} --workers ${WEB_CONCURRENCY:-2} --threads ${WEB_THREADS:-8} \"app:create_app(forks=True)\""]
