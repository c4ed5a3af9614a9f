"""Reads the live node: iptables, ipset, iproute2, conntrack; the only code that needs root."""
