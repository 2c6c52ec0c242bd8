"""Reading and judging text without a model: words, sentences, structure, keywords, readability, tone."""
