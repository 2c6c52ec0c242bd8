"""Budgets: what was used, what it cost, and how much of it is allowed."""
