"""The dashboard in a real Chromium, before a whole Callboard of real processes."""
