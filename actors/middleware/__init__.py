"""What happens around the actor, one concern per file.

Dramatiq runs `after_*` hooks in reverse order and swallows their exceptions, so no hook is trusted to succeed:
what one leaves undone stays leased, and the rescue finds it.
"""
