"""The outside world, one file each: who is called, in which words, and what the answers mean."""
