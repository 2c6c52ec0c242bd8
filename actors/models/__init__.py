"""The parts of the llm runner. What imports pydantic_ai says so: that takes seconds, so runners import it late."""
