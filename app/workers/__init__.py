"""The fleet of worker processes: who is there, what they do, how many are wanted."""
