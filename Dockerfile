# docker build --tag REGISTRY/svclink:0.1.0 .
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY svclink_core svclink_core
COPY svclink_controller svclink_controller
# pip does its work from outside the environment, so that none is in what is copied.
RUN python -m venv --without-pip /opt/svclink \
    && python -m pip --python /opt/svclink/bin/python install --no-cache-dir --compile .

FROM python:3.13-slim
# What could install or build something has no business beside a controller.
RUN python -m pip uninstall --yes --root-user-action=ignore pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip
COPY --from=build /opt/svclink /opt/svclink
ENV PATH=/opt/svclink/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["svclink"]
