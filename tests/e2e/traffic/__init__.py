"""Real traffic through kube-proxy and CoreDNS of the main cluster, in network namespaces joined by
veth.

Real: the data path of the node (nftables or iptables, programmed by kube-proxy), DNS, control
planes
and endpointslice controllers. Simulated: kubelets, and Pods, which are small HTTP servers on
routable
addresses.
"""
