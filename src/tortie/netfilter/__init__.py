"""The IR: hooks, tables, chains, rules, matches, targets, marks, ip sets, conntrack values."""
