"""HTML pages as search engines see them: what stands on a page, and what is wrong with it."""
