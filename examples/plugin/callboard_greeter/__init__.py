"""An agent in a package of its own: one function, and one definition beside it."""

from app.errors import PermanentError


def greet(work, context):
    """Greet everybody on the list."""
    names = work.parameters["names"]
    if len(set(names)) < len(names):
        raise PermanentError("A name is there twice.", user_error=True)
    greetings = []
    for number, name in enumerate(names, start=1):
        context.checkpoint_due()
        greetings.append(f"Hello, {name}!")
        context.progress(100 * number / len(names), f"{number} of {len(names)}")
    context.artifact("greetings.txt", "\n".join(greetings).encode(), "text/plain")
    return {"report": "\n".join(f"- {line}" for line in greetings), "count": len(greetings)}
