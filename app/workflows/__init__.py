"""Workflows: several agents in one run, each step a job; what may happen, in which order, and what came out."""
