"""Cases that several suites share."""
