"""Objects as the API server returns them, with every field that the core reads."""

from __future__ import annotations

from svclink_core.codec import Json

SERVICE: dict[str, Json] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "u1",
        "resourceVersion": "42",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-02T00:00:00Z",
        "labels": {"svclink.cloudpilot.ai/imported": "true", "app": "web"},
        "annotations": {"service.kubernetes.io/topology-mode": "Auto", "note": "x"},
    },
    "spec": {
        "type": "ClusterIP",
        "clusterIP": "None",
        "clusterIPs": ["None"],
        "ipFamilies": ["IPv4", "IPv6"],
        "trafficDistribution": "PreferClose",
        "ports": [
            {
                "name": "http",
                "port": 80,
                "protocol": "TCP",
                "appProtocol": "http",
                "targetPort": 8080,
            }
        ],
        "selector": {"app": "web"},
    },
    "status": {"loadBalancer": {}},
}

SLICE: dict[str, Json] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "web-abc",
        "ownerReferences": [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "name": "web",
                "uid": "u1",
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    },
    "addressType": "IPv4",
    "endpoints": [
        {
            "addresses": ["10.0.0.1"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "hostname": "web-0",
            "nodeName": "worker-0",
            "zone": "zone-a",
            "hints": {"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "worker-0"}]},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "web-0", "uid": "p1"},
        }
    ],
    "ports": [{"name": "http", "protocol": "TCP", "port": 8080, "appProtocol": "http"}],
}
