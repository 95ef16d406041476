"""Which proxy of the environment the main cluster is reached through: the rules are those of Go.

The cases are those of golang.org/x/net/http/httpproxy, which kubectl uses. Real: everything.
"""

from __future__ import annotations

import pytest

from svclink_controller.api.environment_proxy import environment_proxy
from svclink_controller.credentials.administrator.access import AccessError

PROXY = "http://proxy.test:3128"
SERVER = "https://api.example.com:6443"


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_direct"),
    [
        ("", "api.example.com", False),
        ("*", "api.example.com", True),
        ("example.com", "api.example.com", True),
        ("example.com", "example.com", True),
        ("example.com", "notexample.com", False),
        (".example.com", "api.example.com", True),
        (".example.com", "example.com", False),
        ("*.example.com", "api.example.com", True),
        ("*.example.com", "example.com", False),
        ("API.Example.com", "api.example.com", True),
        ("other.test, example.com ,", "api.example.com", True),
        ("example.com:6443", "api.example.com", True),
        ("example.com:443", "api.example.com", False),
        ("example.com.", "api.example.com", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.1/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "api.example.com", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:6443", "10.1.2.3", True),
        ("10.1.2.3:443", "10.1.2.3", False),
        ("fd00::/8", "[fd12::1]", True),
        ("fd12::1", "[fd12::1]", True),
        ("[fd12::1]:6443", "[fd12::1]", True),
        ("[fd12::1]:443", "[fd12::1]", False),
        (":6443", "api.example.com", False),
        ("a/b", "api.example.com", False),
        # This machine is never behind a proxy.
        ("", "localhost", True),
        ("", "127.0.0.1", True),
        ("", "[::1]", True),
    ],
)
def test_no_proxy_is_read_as_in_go(no_proxy: str, host: str, *, is_direct: bool) -> None:
    """An entry is a domain with its subdomains, an address or a network, maybe with a port."""
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    found = environment_proxy(f"https://{host}:6443", environment)
    assert found == (None if is_direct else PROXY)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": ""}, None),
        ({"https_proxy": PROXY}, PROXY),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other.test"}, PROXY),
        ({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "example.com"}, None),
        ({"HTTPS_PROXY": "proxy.test:3128"}, PROXY),
        ({"HTTPS_PROXY": "http://user:word@proxy.test"}, "http://user:word@proxy.test"),
    ],
)
def test_variables_are_those_of_go(environment: dict[str, str], expected: str | None) -> None:
    """Upper case wins over lower case, and the scheme of the server chooses the variable."""
    assert environment_proxy(SERVER, environment) == expected


def test_plain_http_has_a_variable_of_its_own() -> None:
    """A server without TLS is reached through HTTP_PROXY."""
    environment = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": "http://other.test"}
    assert environment_proxy("http://api.example.com:8080", environment) == PROXY


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://user:hush@proxy.test", "HTTPS_PROXY is a SOCKS proxy"),
        ("ftp://user:hush@proxy.test", "HTTPS_PROXY must be a URL"),
        ("http://user:hush@", "HTTPS_PROXY must be a URL"),
        ("http://user:hush@[::1", "HTTPS_PROXY must be a URL"),
        ("http://user:hush@proxy.test:99999", "HTTPS_PROXY must be a URL"),
    ],
)
def test_other_proxies_are_refused_by_name(proxy: str, words: str) -> None:
    """The error names the variable and not its value, which may hold a password."""
    with pytest.raises(AccessError, match=words) as caught:
        environment_proxy(SERVER, {"HTTPS_PROXY": proxy})
    assert "hush" not in str(caught.value)
