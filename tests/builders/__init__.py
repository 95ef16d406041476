"""One builder for each kind of object, for all tests. Each has two forms:

    from tests.builders.values import service     # the core's value: Service(...)
    from tests.builders import manifests          # JSON: manifests.service() is a dict

Without arguments a builder gives the ordinary case: Service default/web with one slice of one
ready endpoint in cluster c1. A test names only what differs: `service(cluster_ip="None")`. Keys are
`"web"` (in namespace default), `"shop/web"` or a NamespacedName. Manifests spell fields as the API
does (`manifests.service(clusterIP="None")`) and are as a user writes them; with `version="7"` they
are as an API server returns them. `tests/unit/test_builders.py` checks that both forms agree.
"""
