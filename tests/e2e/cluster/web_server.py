"""The Pods of the Service `web`: they respond with the names of their cluster and Pod."""

from __future__ import annotations

import os

from aiohttp import web

from tests.e2e.traffic.pod_servers import BACKLOG, GRACE_SECONDS, application

PORT = 8080

if __name__ == "__main__":
    web.run_app(
        application(os.environ["CLUSTER"], os.environ["POD"]),
        port=PORT,
        backlog=BACKLOG,
        shutdown_timeout=GRACE_SECONDS,
        access_log=None,
    )
