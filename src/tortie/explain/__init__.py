"""Policy behind a walk: whose rule decided, what policy says of a dropped packet, and what would let it through."""
