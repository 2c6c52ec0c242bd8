"""The workers: Dramatiq actors, the middleware around them, and the runners that do the work."""
