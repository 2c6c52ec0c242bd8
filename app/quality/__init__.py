"""Quality gates as data: what is checked, what a draft scored, what follows from it. Knows no agents and no jobs."""
