"""Logs and metrics: the names of all events and counters, and how they are written."""
