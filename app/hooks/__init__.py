"""Webhooks that come in: verified, kept, turned into work by rules that one can edit, and relayed to whoever asks."""
