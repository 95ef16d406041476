"""The objects that make an API server call Services, decoded to the Services that they name.

A CustomResourceDefinition may have a megabyte of schema: what is not decoded takes no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgspec

from svclink_controller.wire.decoding import Struct
from svclink_controller.wire.resources import Resource
from svclink_core.api_server_calls import ApiServerCaller
from svclink_core.meta_v1 import NamespacedName, ObjectMeta

_PAGE_SIZE: Final = 3
"""Objects of a page: 500 definitions of 200 kB take 2.3 MiB while they are listed."""


class _Meta(Struct):
    name: str
    uid: str = ""
    resource_version: str = ""


class _Reference(Struct):
    namespace: str = ""
    name: str = ""


class _ClientConfig(Struct):
    service: _Reference | None = None


class _Webhook(Struct):
    client_config: _ClientConfig | None = None


class _WebhookConfiguration(Struct):
    metadata: _Meta
    webhooks: list[_Webhook] | None = None


class _APIService(Struct):
    metadata: _Meta
    spec: _ClientConfig | None = None


class _Conversion(Struct):
    strategy: str = ""
    webhook: _Webhook | None = None


class _DefinitionSpec(Struct):
    conversion: _Conversion | None = None


class _Definition(Struct):
    metadata: _Meta
    spec: _DefinitionSpec | None = None


_Raw = TypeVar("_Raw", _WebhookConfiguration, _APIService, _Definition)


def _of_webhooks(raw: _WebhookConfiguration) -> Iterable[_ClientConfig | None]:
    return [webhook.client_config for webhook in raw.webhooks or ()]


def _of_api_service(raw: _APIService) -> Iterable[_ClientConfig | None]:
    return [raw.spec]


def _of_definition(raw: _Definition) -> Iterable[_ClientConfig | None]:
    conversion = None if raw.spec is None else raw.spec.conversion
    if conversion is None or conversion.strategy != "Webhook" or conversion.webhook is None:
        return []
    return [conversion.webhook.client_config]


def _decode(
    content: bytes | msgspec.Raw,
    kind: str,
    decoder: msgspec.json.Decoder[_Raw],
    configs: Callable[[_Raw], Iterable[_ClientConfig | None]],
) -> ApiServerCaller:
    raw = decoder.decode(content)
    services = {
        NamespacedName(config.service.namespace, config.service.name)
        for config in configs(raw)
        if config is not None and config.service is not None
    }
    metadata = ObjectMeta(
        raw.metadata.name, uid=raw.metadata.uid, resource_version=raw.metadata.resource_version
    )
    return ApiServerCaller(metadata, kind, tuple(sorted(services)))


def _resource(
    group: str,
    kind: str,
    raw: type[_Raw],
    configs: Callable[[_Raw], Iterable[_ClientConfig | None]],
) -> Resource[ApiServerCaller]:
    return Resource(
        f"/apis/{group}/v1",
        f"{kind.lower()}s",
        partial(_decode, kind=kind, decoder=msgspec.json.Decoder(raw), configs=configs),
        page_size=_PAGE_SIZE,
        is_skimmed=True,
    )


_ADMISSION: Final = "admissionregistration.k8s.io"

CALLERS: Final[Mapping[str, Resource[ApiServerCaller]]] = {
    "ValidatingWebhookConfiguration": _resource(
        _ADMISSION, "ValidatingWebhookConfiguration", _WebhookConfiguration, _of_webhooks
    ),
    "MutatingWebhookConfiguration": _resource(
        _ADMISSION, "MutatingWebhookConfiguration", _WebhookConfiguration, _of_webhooks
    ),
    "APIService": _resource("apiregistration.k8s.io", "APIService", _APIService, _of_api_service),
    "CustomResourceDefinition": _resource(
        "apiextensions.k8s.io", "CustomResourceDefinition", _Definition, _of_definition
    ),
}
"""How each of `CALLER_KINDS` is read."""
