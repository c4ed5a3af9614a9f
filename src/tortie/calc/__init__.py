"""Resource updates in, this node's view out: active policies, tier order, ip set members."""
