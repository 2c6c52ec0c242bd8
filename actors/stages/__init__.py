"""The stages of the content pipeline, one file each, in the order of actors/runners/pipeline.py."""
