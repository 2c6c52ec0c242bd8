"""Reading text without a model: sources, ranking, digests, posts; judging it is app/quality."""
