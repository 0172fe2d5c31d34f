# One image for both: `python -m essaim_api` (the default command) and `python -m essaim_worker`. docs/decisions/0014-image.md says why so.
# To pin the base to a digest: --build-arg BASE=python:3.13-slim@sha256:…
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
RUN pip install --quiet --no-cache-dir --root-user-action=ignore uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1
WORKDIR /src
# First what changes seldom. The lock also has the few small packages that build the wheels.
COPY requirements.lock ./
RUN uv venv --quiet --python "$(command -v python3)" /opt/essaim \
 && uv pip install --quiet --python /opt/essaim/bin/python --require-hashes --only-binary :all: \
      --requirement requirements.lock
COPY . .
RUN uv build --quiet --wheel --build-constraint requirements.lock --require-hashes --out-dir /dist . \
 && uv build --quiet --wheel --build-constraint requirements.lock --require-hashes --out-dir /dist workloads/words \
 && uv pip install --quiet --python /opt/essaim/bin/python --no-deps /dist/*.whl \
 && mkdir /data

FROM ${BASE}
ARG VERSION=dev
ARG REVISION=
LABEL org.opencontainers.image.title="Essaim" \
      org.opencontainers.image.description="Long jobs over HTTP, on workers that come and go with the queue." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Python is found where the build stage had it; nothing is ever written beside the code: the root may be read-only.
ENV PATH=/opt/essaim/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 \
    ESSAIM_DATA_DIR=/data
# The official images come without the bytecode of Python's own library, and would compile it at every start.
RUN python3 -m compileall -q -x '/(site|dist)-packages/|/test/|/idlelib/' --invalidation-mode unchecked-hash \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/essaim /opt/essaim
# Only the embedded default (SQLite and files) writes here; a volume that is mounted on it takes over the owner.
COPY --from=build --chown=65532:65532 /data /data
WORKDIR /data
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8080
CMD ["python", "-m", "essaim_api"]
