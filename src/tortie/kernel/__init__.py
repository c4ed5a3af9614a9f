"""Reads the live node and carries out plans: iptables, ipset, iproute2, conntrack; the only code that needs root."""
