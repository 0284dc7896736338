# syntax=docker/dockerfile:1
# One image for all parts; the command says which: web (the default), worker, migrate, run_migration.
# It needs no root, writes to DMS_VAR_DIR and /tmp alone, and runs with a read-only root file system.

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS packages
WORKDIR /build
COPY requirements.lock .
RUN python -m venv /venv \
    && /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --no-deps --require-hashes -r requirements.lock

FROM python:${PYTHON}-slim
RUN groupadd --system --gid 10001 dms \
    && useradd --system --uid 10001 --gid dms --home-dir /var/lib/dms --create-home --shell /usr/sbin/nologin dms
COPY --from=packages /venv /venv
WORKDIR /app
COPY manage.py ./
COPY connectors connectors
COPY controlplane controlplane
COPY migrations_app migrations_app
COPY templates templates
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DMS_VAR_DIR=/var/lib/dms \
    DMS_STATIC_DIR=/app/static \
    DMS_LOG_FORMAT=json \
    DMS_LOG_LEVEL=INFO
# The keys are for this step alone; collectstatic reads the settings and signs nothing.
RUN python -m compileall -q connectors controlplane migrations_app \
    && SECRET_KEY=only-while-building DMS_SECRET_KEYS=$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())') \
       DMS_VAR_DIR=/tmp/build python manage.py collectstatic --noinput --verbosity 0 \
    && rm -rf /tmp/build
USER 10001:10001
EXPOSE 8000
# Of the web part; compose.yaml and Kubernetes have their own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# No init in between: gunicorn and the worker are made to be process 1. They get SIGTERM, their children do not.
CMD ["gunicorn", "controlplane.wsgi", "--bind", "0.0.0.0:8000", "--workers", "2", "--threads", "4", "--worker-tmp-dir", "/dev/shm"]
