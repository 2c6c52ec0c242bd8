"""Schedules: when something is submitted by itself, and what became of each time."""
