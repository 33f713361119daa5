"""A whole Kubernetes on one Linux machine, without Docker and without an image registry.

Reading order: cli, lifecycle, node, components, platform.

A node is one process tree in namespaces of its own (mounts, network, processes). Ending its first process ends
everything in it, and the kernel takes mounts, interfaces and iptables rules away with the namespaces.
"""
