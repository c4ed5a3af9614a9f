"""Addresses, CIDRs, ports, protocols, packets and nodes: values with no opinion on policy or kernel."""
