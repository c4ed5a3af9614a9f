"""Calico 3.7's resources, and the Kubernetes objects that Calico reads, as values: read, checked, converted."""
