"""Agents: what can be run, defined in markdown, versioned by content, limited by rows."""
