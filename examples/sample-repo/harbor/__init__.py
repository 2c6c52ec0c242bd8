"""Berths, boats and what a stay costs."""
