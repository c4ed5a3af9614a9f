"""Text of iptables, ipset, iproute2 and conntrack, to and from the IR."""
