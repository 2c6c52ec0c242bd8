"""The ways to people and machines; each takes a delivery and answers with what came of it, never with an exception."""
