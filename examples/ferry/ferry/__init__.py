"""Seats on a small ferry: when it sails, what a seat costs, and who sits where."""
