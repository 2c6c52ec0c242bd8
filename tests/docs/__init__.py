"""Every example of the guides is run: as one types it, against the product as `make run` starts it."""
