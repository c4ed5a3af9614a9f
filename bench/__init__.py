"""What Tortie costs, as ratios against the kernel's own tools in the same run: `make bench`."""
