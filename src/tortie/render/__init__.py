"""This node's view in, netfilter IR out: every chain, rule hash and ip set as Felix 3.7.5 makes them."""
