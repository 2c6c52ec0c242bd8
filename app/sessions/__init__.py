"""Collaborative sessions: what people, models and agents say, remember and make together, and the jobs they hand out."""
