"""Attaches containers to a node as a CNI plugin: addresses, interfaces, workload endpoints."""
