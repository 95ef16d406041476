"""Real traffic: kube-proxy and CoreDNS against the main control plane, in network namespaces joined by veth.

Real: the data path of the node (nftables or iptables of the kernel, programmed by kube-proxy), DNS, control planes,
endpointslice controllers. Played: kubelets and Pods, which are small HTTP servers on routable Pod addresses.
"""
