"""Polling: when a client should come back."""
