"""The proxy that the environment names for the main cluster: HTTPS_PROXY and NO_PROXY, as in Go.

(golang.org/x/net/http/httpproxy) Remote clusters never use it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from svclink_controller.credentials.administrator.cluster import checked_proxy


def environment_proxy(server: str, environment: Mapping[str, str]) -> str | None:
    """The proxy for a server, or None.

    Raises:
        AccessError: The variable does not name an HTTP proxy.
    """
    parts = urlsplit(server)
    name = f"{parts.scheme.upper()}_PROXY"
    proxy = environment.get(name) or environment.get(name.lower())
    exceptions = environment.get("NO_PROXY") or environment.get("no_proxy") or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if not proxy or _is_direct(parts.hostname or "", port, exceptions):
        return None
    return checked_proxy(name, proxy if "://" in proxy else f"http://{proxy}")


def _is_direct(host: str, port: int, exceptions: str) -> bool:
    """Whether connections to a host use no proxy: never on this machine, nor in NO_PROXY."""
    if host == "localhost":
        return True
    address = _address(host)
    if address is not None and address.is_loopback:
        return True
    return any(
        _matches(entry, host.rstrip("."), port, address) for entry in _entries(exceptions.lower())
    )


def _entries(exceptions: str) -> Iterator[str]:
    return filter(None, (entry.strip() for entry in exceptions.split(",")))


def _matches(
    entry: str, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    """Whether an entry of NO_PROXY covers a host: `*`, a network, an address or a domain."""
    if entry == "*":
        return True
    if "/" in entry:
        with suppress(ValueError):
            return address is not None and address in ipaddress.ip_network(entry, strict=False)
    name, given_port = _host_and_port(entry)
    if given_port not in ("", str(port)):
        return False
    if (given := _address(name)) is not None:
        return given == address
    suffix = name.removeprefix("*")
    if suffix.startswith("."):
        return host.endswith(suffix)
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _host_and_port(entry: str) -> tuple[str, str]:
    """`host`, `host:port`, `address` or `[address]:port`."""
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    name, separator, port = entry.rpartition(":")
    is_address = ":" in name
    return (name, port) if separator and not is_address else (entry, "")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(text)
    return None
