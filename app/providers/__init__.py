"""Providers: the LLM services, their limits shared by all workers, their breakers, and what they cost."""
