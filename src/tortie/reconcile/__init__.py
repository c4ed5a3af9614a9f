"""Desired and actual rules and sets in, an ordered plan out; every prefix of it is safe."""
