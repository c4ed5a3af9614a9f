"""Calico's resources in, BIRD's configuration out: whom a node talks to, what it announces, what it installs."""
