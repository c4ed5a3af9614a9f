"""Draws scenarios: topologies, rulesets in the shape of well-known programs or of none, ip sets, and packets aimed at them.

Everything follows from a seed. Rules are restore text that the real tools read; nothing here knows what they mean, so a
generator cannot share a mistake with the simulator.
"""
