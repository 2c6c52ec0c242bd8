"""The content pipeline: what is asked for, what the stages say, what comes out. Knows no CMS and no model."""
