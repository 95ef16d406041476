"""How long requests may take and how large responses may be: API servers are not trusted."""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class Limits:
    """Time-outs in seconds and sizes in bytes for the requests of one client.

    Args:
        connect_seconds: Time to open a connection.
        request_seconds: Time for a whole request, unless the caller passes its own.
        stall_check_seconds: After this time without a byte, check that the connection still
            exists; aiohttp does not always report that it was closed.
        response_bytes: Size of one response after decompression. A page of 250 EndpointSlices
            with 100 endpoints each is about 9 MB; a list with larger pages is requested again
            in smaller ones. Splitting a page of this size takes 20 ms.
        watch_line_bytes: Size of one watch event; etcd holds objects of at most 1.5 MiB.
    """

    connect_seconds: float = 10
    request_seconds: float = 30
    stall_check_seconds: float = 5
    response_bytes: int = 16 * 2**20
    watch_line_bytes: int = 4 * 2**20

    @property
    def always_fitting(self) -> int:
        """How many of the largest objects fit a response. A page of so few need not be smaller."""
        return max(self.response_bytes // self.watch_line_bytes, 1)


DEFAULT_LIMITS: Final = Limits()
