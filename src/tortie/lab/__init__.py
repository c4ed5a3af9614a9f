"""A whole network on one machine: nodes with agents, BIRD and pods in network namespaces, and what packets do there."""
