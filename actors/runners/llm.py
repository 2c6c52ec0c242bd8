"""Run an agent as a conversation with a language model, of the first provider of its chain that answers.

The parts are in actors/models; those that import pydantic_ai are imported by the first conversation of a process,
because that takes seconds and most workers never have one.
"""

from __future__ import annotations

from dataclasses import replace

from actors.models.health import health_of, why_none
from actors.models.prompt import prompt_of
from actors.models.wish import Wish
from actors.runners.base import JSON, Context, Health, ProviderSpec, Work
from actors.runners.python import PythonRunner
from app.errors import PermanentError

WITHOUT_MODEL = "offline tools, no model"


class LlmRunner:
    """Asks a model, lets it use the agent's tools, and answers what fits the agent's output schema.

    `config`: the keys of actors/models/wish.py, and the definition's instructions, providers and output_schema.
    """

    name = "llm"

    def run(self, work: Work, context: Context) -> JSON:
        """The answer as a JSON object, `{"result": text}` without a schema; with its origin and usage."""
        wish = Wish.of(work.config)
        wanted = work.config.get("providers")
        chain = context.providers.chain(wanted)
        specs = askable(chain, wanted)
        if not specs:
            return without_model(work, context, wish, chain)
        prompt = prompt_of(work, wish.prompt)
        from actors.models.dialogue import converse

        return converse(work, context, wish, specs, prompt)

    def health(self, config: JSON) -> Health:
        """Whether there is a model to ask; `provider_specs` in the config is the agent's chain."""
        try:
            wish = Wish.of(config)
        except PermanentError as wrong:
            return Health("unavailable", wrong.message)
        return health_of(config.get("provider_specs") or [], has_offline=wish.offline is not None)


def askable(chain: list[ProviderSpec], wanted: list[str] | None) -> list[ProviderSpec]:
    """Those of a chain that can be asked; the demo model only where it is named."""
    return [spec for spec in chain if spec.missing is None and (wanted or not spec.demo)]


def without_model(work: Work, context: Context, wish: Wish, chain: list[ProviderSpec]) -> JSON:
    """Let the agent's offline function do what it can; raises PermanentError if it has none."""
    if wish.offline is None:
        raise PermanentError(why_none(chain))
    context.event("provider", f"Produced by {WITHOUT_MODEL}: no provider is configured", level="warning")
    result = PythonRunner().run(replace(work, config=work.config | wish.offline), context)
    return result | {"produced_by": WITHOUT_MODEL}
