"""Polling: when a client should come back, and how it goes."""
