# One image for `serve` and `worker`: docker run … makegood serve, docker run … makegood worker.
# Versions are exactly those of uv.lock. Settings come from MAKEGOOD_* variables; the database is outside.

ARG PYTHON=python:3.13-slim-trixie

# The console, built by the Node of a wheel: only what comes out of it goes on from here.
FROM ${PYTHON} AS console
ARG UV_VERSION=0.13.9
ARG PIP_CERT
ENV UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_SYSTEM_CERTS=1 NPM_CONFIG_UPDATE_NOTIFIER=false PATH=/opt/makegood/.venv/bin:$PATH
# As uv does, npm trusts whom the image trusts.
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
WORKDIR /opt/makegood
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check uv==${UV_VERSION}
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --locked --only-group ui --python python3
COPY service/ui/package.json service/ui/package-lock.json service/ui/
RUN npm --prefix service/ui ci --ignore-scripts --no-audit --no-fund --loglevel=error
COPY clients/typescript/src/schema.ts clients/typescript/src/
COPY service/ui service/ui
RUN npm --prefix service/ui run build --silent

FROM ${PYTHON} AS build
ARG UV_VERSION=0.13.9
ARG PIP_CERT
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_SYSTEM_CERTS=1
WORKDIR /opt/makegood
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir --disable-pip-version-check uv==${UV_VERSION}
# The dependencies change seldom and the source often: two layers.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN /opt/uv/bin/uv sync --locked --no-dev --no-install-project --python python3
COPY service service
COPY policies policies
COPY integrations integrations
COPY --from=console /opt/makegood/service/ui/dist service/ui/dist
RUN /opt/uv/bin/uv sync --locked --no-dev --no-editable --python python3

FROM ${PYTHON} AS run
RUN groupadd --system --gid 10001 makegood && useradd --system --uid 10001 --gid makegood --home-dir /var/lib/makegood --create-home makegood
COPY --from=build /opt/makegood/.venv /opt/makegood/.venv
ENV PATH=/opt/makegood/.venv/bin:$PATH PYTHONUNBUFFERED=1 MAKEGOOD_BIND=0.0.0.0:8080 MAKEGOOD_DATA=/var/lib/makegood
USER 10001:10001
WORKDIR /var/lib/makegood
EXPOSE 8080
# A worker listens nowhere: run it with --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['MAKEGOOD_BIND'].rsplit(':', 1)[1] + '/livez', timeout=2)"]
# Longer than a stream lives (25 s) and an operation's lease (15 s), so that a stop is a clean one: docker stop --time 40.
STOPSIGNAL SIGTERM
ENTRYPOINT ["makegood"]
CMD ["serve"]
