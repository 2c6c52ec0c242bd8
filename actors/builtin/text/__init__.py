"""Reading and judging text without a model: sentences, ranking, keywords, readability, score."""
