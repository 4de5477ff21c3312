# syntax=docker/dockerfile:1
# The engine without any preset's packages (add extras in an image of your own, FROM this one).
#
#   docker run --init -p 8080:8080 -p 127.0.0.1:9090:9090 -v "$PWD:/service:ro" -v eas-state:/var/lib/eas-engine eas-engine
#
# serves /service/service.json. --init: processors may leave orphans behind, and pid 1 must reap them.

FROM python:3.12-slim AS build
WORKDIR /source
# The path of a request is compiled; the compiler stays in this stage.
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes --no-install-recommends gcc libc6-dev
ENV EAS_ENGINE_COMPILE=1
COPY requirements/build.txt requirements/core.txt requirements/
RUN python -m venv /opt/build && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python -m venv /opt/eas-engine \
    && /opt/eas-engine/bin/pip install --no-cache-dir --require-hashes -r requirements/core.txt
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY processors processors
COPY benchmarks benchmarks
COPY sdk sdk
COPY scripts scripts
RUN /opt/build/bin/hatchling build -t wheel -d /tmp/wheel \
    && /opt/eas-engine/bin/pip install --no-cache-dir --no-deps --no-index /tmp/wheel/*.whl

FROM python:3.12-slim
RUN useradd --uid 10001 --home-dir /var/lib/eas-engine --no-create-home --shell /usr/sbin/nologin eas \
    && install -d -o eas -g eas -m 0700 /var/lib/eas-engine
COPY --from=build /opt/eas-engine /opt/eas-engine
ENV PATH=/opt/eas-engine/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    EAS_ADMIN_HOST=0.0.0.0 \
    EAS_STATE_DIR=/var/lib/eas-engine
WORKDIR /service
VOLUME /var/lib/eas-engine
EXPOSE 8080 9090
USER eas
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('EAS_ADMIN_PORT', '9090') + '/healthz', timeout=2)"]
ENTRYPOINT ["eas-engine"]
CMD ["--config", "/service/service.json"]
