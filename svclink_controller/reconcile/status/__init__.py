"""The status of the objects that users declare: ClusterLinks and TrafficPolicies."""
