# docker build --tag REGISTRY/svclink:0.1.0 .
ARG BASE=python:3.13-slim

# hadolint ignore=DL3006
FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY crd crd
COPY svclink_core svclink_core
COPY svclink_controller svclink_controller
# pip runs outside the environment, so that the environment that is copied has no pip.
RUN python -m venv --without-pip /opt/svclink \
    && python -m pip --python /opt/svclink/bin/python install --no-cache-dir --compile .

# hadolint ignore=DL3006
FROM ${BASE}
LABEL org.opencontainers.image.title="svclink" \
      org.opencontainers.image.description="Mirrors EndpointSlices of remote Kubernetes clusters into a main cluster" \
      org.opencontainers.image.licenses="Apache-2.0"
# A controller needs nothing that installs or builds software.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip
COPY --from=build /opt/svclink /opt/svclink
ENV PATH=/opt/svclink/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["svclink"]
