"""Tortie: Calico policy as iptables rules, and a flight recorder for every packet that meets them."""
