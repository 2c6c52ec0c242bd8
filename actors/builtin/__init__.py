"""Agents that come with Callboard and do real work with well-kept tools, without a key or a network.

One module per agent, each with `run(work, context)` (what the python runner calls) and `health()`.
An agent never works in the folder it is given: `sources.take` copies what it may read into the
attempt's private workspace, and the tools see only that copy.
"""
