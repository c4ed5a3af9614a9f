"""A real Linux node in a network namespace of its own, asked what it does with one packet at a time."""
