"""Walks one packet and its conntrack entry through a ruleset and returns a Trace."""
