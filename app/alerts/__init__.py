"""Alerts: figures that are watched, what is wrong now, and what was."""
