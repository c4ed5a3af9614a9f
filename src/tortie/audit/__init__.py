"""What is wrong with a node's Calico rules and sets, told from the kernel's own account of them."""
