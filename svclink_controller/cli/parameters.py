"""Types of flags and arguments. The error for invalid text is one sentence on how to write it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

import click
import durationpy

from svclink_controller.credentials.trust import Network
from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_core.api_rules import DNS_LABEL_RULE, is_dns_label, is_subdomain
from svclink_core.budget import MEBIBYTE
from svclink_core.label_selector import Selector, SelectorError, parse_selector
from svclink_core.meta_v1 import NamespacedName
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

_SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9][-a-z0-9]{0,62}:[a-z0-9][-a-z0-9.]{0,252}")
_MEMORY: Final = re.compile(r"([0-9]{1,7})(Mi|Gi)", re.ASCII)
_PERCENT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)
_LISTEN_ADDRESS: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]*)):([0-9]{1,5})", re.ASCII)


class DurationType(click.ParamType[timedelta]):
    """A Go duration: `30s`, `1m30s`, `2h`.

    Args:
        minimum: The shortest duration that is accepted.
    """

    name = "duration"

    def __init__(self, minimum: timedelta = timedelta(microseconds=1)) -> None:
        self.minimum = minimum

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Parse the text; a default is already a duration."""
        if isinstance(value, timedelta):
            return value
        try:
            duration: timedelta = durationpy.from_str(value)
        except (durationpy.DurationError, ValueError, IndexError):
            self.fail(
                f"{value!r} is not a duration: use a duration such as 30s, 1m30s or 2h", param, ctx
            )
        if duration < self.minimum:
            self.fail(f"{value!r} is too short: use {self._shortest()}", param, ctx)
        return duration

    def _shortest(self) -> str:
        if self.minimum < timedelta(seconds=1):
            return "0s or more" if not self.minimum else "more than 0s"
        return f"{durationpy.to_str(self.minimum)} or more"


class MemoryType(click.ParamType[int]):
    """An amount of memory as Kubernetes writes it, with Mi or Gi; the value is in bytes.

    Args:
        minimum: The smallest amount that is accepted.
    """

    name = "memory"

    def __init__(self, minimum: int) -> None:
        self.minimum = minimum

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse the text; a default is already a number."""
        if isinstance(value, int):
            return value
        match = _MEMORY.fullmatch(value)
        if match is None:
            self.fail(
                f"{value!r} is not a valid amount of memory: use, for example, 80Mi or 1Gi",
                param,
                ctx,
            )
        size = int(match[1]) * (MEBIBYTE if match[2] == "Mi" else 2**10 * MEBIBYTE)
        if size < self.minimum:
            least = self.minimum // MEBIBYTE
            self.fail(f"{value!r} is too small: use {least}Mi or more", param, ctx)
        return size


class BooleanType(click.types.BoolParamType):
    """A boolean; the error for anything else shows both values instead of all spellings."""

    def convert(
        self, value: str | bool, param: click.Parameter | None, ctx: click.Context | None
    ) -> bool:
        """Parse the text; a default is already a boolean."""
        parsed = self.str_to_bool(value) if value != "" else None
        if parsed is None:
            self.fail(f"{value!r} is not a boolean: use true or false", param, ctx)
        return parsed


class ExistingFile(click.Path):
    """A file that exists and can be read."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True, path_type=Path)

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> str | bytes | os.PathLike[str]:
        """The path; what click says about any other is completed with the fix."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            cause = error.message.removesuffix(".")
            self.fail(f"{cause}: pass the path of a readable file", param, ctx)


class WholeNumber(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class Number(click.FloatRange):
    """A number in a range."""

    name = "number"


class ListenAddressType(click.ParamType[ListenAddress | Literal["off"]]):
    """`HOST:PORT`, `:PORT` for every interface, `[IPV6]:PORT`, or `off`."""

    name = "address"

    def convert(
        self, value: str | ListenAddress, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress | Literal["off"]:
        """Parse the text; a default is already an address."""
        if isinstance(value, ListenAddress):
            return value
        if value == "off":
            return "off"
        match = _LISTEN_ADDRESS.fullmatch(value)
        if match is None or int(match[3]) > 65535:
            message = (
                f"{value!r} is not a valid address: use, for example, 127.0.0.1:8080, :8080 or off"
            )
            self.fail(message, param, ctx)
        return ListenAddress(match[1] or match[2] or "", int(match[3]))


class ServiceName(click.ParamType[NamespacedName]):
    """A Service, as `NAMESPACE/NAME`."""

    name = "namespace/name"

    def convert(
        self, value: str | NamespacedName, param: click.Parameter | None, ctx: click.Context | None
    ) -> NamespacedName:
        """Namespace and name of the Service."""
        if isinstance(value, NamespacedName):
            return value
        namespace, _, name = value.partition("/")
        if not is_dns_label(namespace) or not is_dns_label(name):
            self.fail(_wrong_form(value, "NAMESPACE/SERVICE", "shop/web"), param, ctx)
        return NamespacedName(namespace, name)


def _wrong_form(text: str, form: str, example: str) -> str:
    return f"{text!r} does not have the form {form}: use, for example, {example}"


def namespace(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    """A namespace."""
    if name is not None and not is_dns_label(name):
        raise click.BadParameter(
            f"{name!r} is not a valid namespace: use lowercase letters, digits and '-'"
        )
    return name


def namespaces(
    context: click.Context, parameter: click.Parameter, values: Iterable[str]
) -> tuple[str, ...]:
    """Namespaces to mirror: the flag repeated, or names with commas in between, or both."""
    names = tuple(dict.fromkeys(_split(values)))
    if values and not names:
        raise click.BadParameter(
            "no namespace given: name at least one, or omit the flag to include all namespaces"
        )
    if NAMESPACE_KUBE_SYSTEM in names:
        raise click.BadParameter("kube-system is never mirrored: remove it")
    for name in sorted(names):
        namespace(context, parameter, name)
    return names


def networks(_: click.Context, __: click.Parameter, values: Iterable[str]) -> tuple[Network, ...]:
    """CIDRs: the flag repeated, or CIDRs with commas in between, or both."""
    try:
        return tuple(ipaddress.ip_network(each) for each in _split(values))
    except ValueError as error:
        raise click.BadParameter(f"{error}: use CIDRs such as 10.0.0.0/8 or fd00::/8") from error


def label_selector(_: click.Context, __: click.Parameter, value: str) -> Selector:
    """A label selector in the syntax of `kubectl get -l`."""
    try:
        return parse_selector(value)
    except SelectorError as error:
        raise click.BadParameter(str(error)) from error


def lease_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A name that the API server accepts for a Lease: a DNS-1123 subdomain."""
    if value is not None and not is_subdomain(value):
        raise click.BadParameter(
            f"{value!r} is not a valid Lease name: use lowercase letters, digits, '-' and '.'"
        )
    return value


def link_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A name that the CRD accepts for a ClusterLink: a DNS-1123 label."""
    if value is not None and not is_dns_label(value):
        raise click.BadParameter(f"{value!r} is not a valid ClusterLink name: {DNS_LABEL_RULE}")
    return value


def service_account(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """A ServiceAccount, as `NAMESPACE:NAME`."""
    if value is not None and not _SERVICE_ACCOUNT.fullmatch(value):
        raise click.BadParameter(_wrong_form(value, "NAMESPACE:NAME", "cloudpilot:svclink"))
    return value


def named_files(
    context: click.Context, parameter: click.Parameter, texts: Iterable[str]
) -> dict[str, Path]:
    """Files by the name of a ClusterLink, each as `NAME=FILE`."""
    files: dict[str, Path] = {}
    for text in texts:
        name, separator, path = text.partition("=")
        if not separator or not is_dns_label(name):
            raise click.BadParameter(_wrong_form(text, "NAME=FILE", "cluster-a=a.yaml"))
        if not path:
            raise click.BadParameter(f"{text!r} names no file: use {name}=FILE")
        if name in files:
            raise click.BadParameter(f"{name!r} is given twice: put its objects into one file")
        files[name] = Path(os.fsdecode(ExistingFile().convert(path, parameter, context)))
    return files


def shares(_: click.Context, __: click.Parameter, values: Iterable[str]) -> dict[str, int | None]:
    """Shares in percent by the name of a ClusterLink, each as `NAME=PERCENT`; `none` is None."""
    found: dict[str, int | None] = {}
    for text in _split(values):
        name, separator, percent = text.partition("=")
        if name == "MAIN":
            raise click.BadParameter(
                "MAIN has no share of its own: it gets whatever is left after the linked clusters'"
                " shares"
            )
        if not separator or not is_dns_label(name):
            raise click.BadParameter(_wrong_form(text, "CLUSTER=PERCENT", "cluster-b=25"))
        if name in found:
            raise click.BadParameter(f"{name!r} is given twice: give each cluster one share")
        found[name] = None if percent == "none" else _percent(percent)
    return found


def steps(_: click.Context, __: click.Parameter, value: str) -> tuple[int, ...]:
    """Shares in percent, with commas in between."""
    found = tuple(_percent(each) for each in _split([value]))
    if not found:
        raise click.BadParameter("no shares given: use, for example, 5,10,25,50")
    return found


def _percent(text: str) -> int:
    if not _PERCENT.fullmatch(text) or int(text) > 100:
        raise click.BadParameter(f"{text!r} is not a share: use a whole number from 0 to 100")
    return int(text)


def _split(values: Iterable[str]) -> list[str]:
    return [each.strip() for value in values for each in value.split(",") if each.strip()]
