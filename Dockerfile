# docker build --tag REGISTRY/svclink:0.2.0 --build-arg REVISION="$(git rev-parse HEAD)" .
# The tag pins one release of Python on one release of Debian, and its image is rebuilt with Debian's security fixes. To use
# exactly the same base image each time, pass a digest: --build-arg BASE=python@sha256:...
ARG BASE=python:3.13.16-slim-trixie

# hadolint ignore=DL3006
FROM ${BASE} AS build
WORKDIR /src
COPY requirements requirements
# Every installed file has a hash in requirements/, which `nox -s lock` updates. Only svclink itself is built. pip runs
# outside the environment, so that the copied environment does not contain pip.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --root-user-action=ignore --require-hashes --only-binary :all: --requirement requirements/build.txt \
    && python -m venv --without-pip /opt/svclink \
    && python -m pip --python /opt/svclink/bin/python install --compile \
        --require-hashes --only-binary :all: --requirement requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY crd crd
COPY svclink_core svclink_core
COPY svclink_controller svclink_controller
RUN python -m pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
    && python -m pip --python /opt/svclink/bin/python install --compile --no-index --no-deps /dist/*.whl
COPY hack/slim_environment.py hack/
RUN /opt/svclink/bin/python hack/slim_environment.py

# hadolint ignore=DL3006
FROM ${BASE}
# The controller needs no tools that install or build software.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
    && rm -rf "$(python -c 'import ensurepip; print(*ensurepip.__path__)')"
COPY --from=build /opt/svclink /opt/svclink
ENV PATH=/opt/svclink/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["svclink"]

ARG BASE
ARG VERSION=0.2.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="svclink" \
      org.opencontainers.image.description="Mirrors EndpointSlices from remote Kubernetes clusters to a main cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
