"""A main API server that applies changes to values, for tests of the core. Pure.

Real: conflicts, preconditions, immutable fields, no-op writes, validation of slices and Services.
Substituted: defaulting (the core writes every field that has a default), finalizers, latency.
"""

from __future__ import annotations

from typing import Final, assert_never

from attrs import evolve, frozen

from svclink_core import (
    Change,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    EndpointSlice,
    Namespace,
    NamespacedName,
    Precondition,
    Service,
    Update,
)
from tests.unit.core.validation import DNS_LABEL, Refused, require_valid, service_problems

FIRST_REVISION: Final = 1_000_000


@frozen
class ApiServer:
    """The objects of the main cluster that svclink writes. `revision` only grows."""

    slices: tuple[EndpointSlice, ...] = ()
    services: tuple[Service, ...] = ()
    namespaces: frozenset[str] = frozenset()
    terminating: frozenset[str] = frozenset()
    revision: int = FIRST_REVISION

    def find(self, key: NamespacedName) -> EndpointSlice | None:
        return next(
            (
                endpoint_slice
                for endpoint_slice in self.slices
                if endpoint_slice.metadata.key == key
            ),
            None,
        )

    def apply(self, change: Change) -> ApiServer:
        """The server after a change. Raises `Refused` if the real one would return an error."""
        match change:
            case CreateNamespace():
                return self._create_namespace(change.namespace)
            case CreateService():
                return self._create_service(change.service)
            case Create():
                return self._create(change.endpoint_slice)
            case Update():
                return self._update(change.endpoint_slice, change.precondition)
            case Delete():
                return self._delete(change.key, change.precondition)
            case unexpected:
                assert_never(unexpected)

    def _create_namespace(self, namespace: Namespace) -> ApiServer:
        name = namespace.metadata.name
        if name in self.namespaces:
            raise Refused(f"409 AlreadyExists: {name}")
        if not DNS_LABEL.fullmatch(name):
            raise Refused(f"422: metadata.name: {name!r}")
        return evolve(self, namespaces=self.namespaces | {name})

    def _create_service(self, service: Service) -> ApiServer:
        key = service.metadata.key
        if any(each.metadata.key == key for each in self.services):
            raise Refused(f"409 AlreadyExists: {key}")
        if key.namespace not in self.namespaces or key.namespace in self.terminating:
            raise Refused(f"403 or 404: namespace of {key}")
        if service.spec.cluster_ip or service.spec.ip_families or service.spec.type != "ClusterIP":
            raise Refused(f"422: {key} sets fields that only the main cluster may set")
        for problem in service_problems(service):
            raise Refused(f"422: {key}: {problem}")
        families = (
            ("IPv4", "IPv6") if service.spec.ip_family_policy == "PreferDualStack" else ("IPv4",)
        )
        metadata = evolve(
            service.metadata, uid=f"uid-of-the-created-{key}", resource_version=str(self.revision)
        )
        spec = evolve(service.spec, cluster_ip="10.96.0.9", ip_families=families)
        stored = Service(metadata, spec)
        return evolve(self, services=(*self.services, stored), revision=self.revision + 1)

    def _create(self, endpoint_slice: EndpointSlice) -> ApiServer:
        if endpoint_slice.metadata.resource_version:
            raise Refused(
                f"500: {endpoint_slice.metadata.key}: "
                "resourceVersion should not be set on objects to be created"
            )
        if self.find(endpoint_slice.metadata.key) is not None:
            raise Refused(f"409 AlreadyExists: {endpoint_slice.metadata.key}")
        require_valid(endpoint_slice)
        metadata = evolve(
            endpoint_slice.metadata,
            uid=f"uid-{self.revision}",
            resource_version=str(self.revision),
            generation=1,
        )
        created = evolve(endpoint_slice, metadata=metadata)
        return evolve(self, slices=(*self.slices, created), revision=self.revision + 1)

    def _update(self, endpoint_slice: EndpointSlice, precondition: Precondition) -> ApiServer:
        found = self._expect(endpoint_slice.metadata.key, precondition)
        if endpoint_slice.address_type != found.address_type:
            raise Refused("422: addressType: field is immutable")
        require_valid(endpoint_slice)
        metadata = evolve(
            found.metadata,
            labels=endpoint_slice.metadata.labels,
            annotations=endpoint_slice.metadata.annotations,
            owner_references=endpoint_slice.metadata.owner_references,
            additions=endpoint_slice.metadata.additions,
        )
        written = evolve(endpoint_slice, metadata=metadata)
        if written == found:  # A no-op write is not stored and causes no event.
            return self
        written = evolve(written, metadata=evolve(metadata, resource_version=str(self.revision)))
        others = (each for each in self.slices if each != found)
        return evolve(self, slices=(*others, written), revision=self.revision + 1)

    def _delete(self, key: NamespacedName, precondition: Precondition) -> ApiServer:
        found = self._expect(key, precondition)
        others = tuple(each for each in self.slices if each != found)
        return evolve(self, slices=others, revision=self.revision + 1)

    def _expect(self, key: NamespacedName, precondition: Precondition) -> EndpointSlice:
        found = self.find(key)
        if found is None:
            raise Refused(f"404: {key}")
        if (found.metadata.uid, found.metadata.resource_version) != (
            precondition.uid,
            precondition.resource_version,
        ):
            raise Refused(f"409 Conflict: {key}: {precondition}")
        return found
