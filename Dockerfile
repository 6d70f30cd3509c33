# One image, every role: `docker run timeball api`, `worker`, `beat`, `flower`, `inbox`.
# docker-compose.yml runs them together.

FROM python:3.12-slim AS build
ENV PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# What the lock names and nothing else, each file known by its hash, wheels only: no compiler is needed.
# The environment has no pip of its own, and setuptools leaves once it has built Timeball's wheel.
# EXTRAS=1 adds what traces and alerts by mail and Slack need.
ARG EXTRAS=""
COPY requirements.lock requirements-extras.lock ./
RUN python -m venv --without-pip /opt/timeball \
    && pip --python /opt/timeball/bin/python install --no-compile --no-deps --only-binary :all: \
        --require-hashes --requirement requirements.lock ${EXTRAS:+--requirement requirements-extras.lock}

COPY pyproject.toml requirements.txt requirements-otel.txt requirements-alerts.txt README.md LICENSE ./
COPY timeball timeball
COPY api api
COPY workers workers
COPY beat beat
RUN pip --python /opt/timeball/bin/python install --no-compile --no-deps --no-build-isolation . \
    && pip --python /opt/timeball/bin/python uninstall --yes setuptools \
    && python -m compileall -q -j 0 /opt/timeball/lib
COPY deploy/compose_init.py /opt/timeball/share/compose_init.py

FROM python:3.12-slim
LABEL org.opencontainers.image.title="Timeball" \
      org.opencontainers.image.description="A self-hosted dispatcher of HTTP tasks: call this URL, then." \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2 PATH=/opt/timeball/bin:$PATH TIMEBALL_LOG_FORMAT=json

# The folders give the named volumes of docker-compose.yml their owner.
RUN groupadd --gid 10001 timeball \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin timeball \
    && install -d -o 10001 -g 10001 -m 0700 /run/timeball /data /var/lib/timeball/exports \
        /run/roles /run/roles/redis /run/roles/api /run/roles/worker /run/roles/exporter /run/roles/beat \
        /run/roles/flower
COPY --from=build /opt/timeball /opt/timeball

USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["timeball"]
CMD ["--help"]
