"""The real kernel's routing decisions, asked one by one and compared with those of `tortie.simulator.route`."""
