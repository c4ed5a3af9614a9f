"""The node agent: from what a datastore tells to what the kernel holds, and to what is said about it."""
