"""Whether there is a model to ask, and what to configure where there is none."""

from __future__ import annotations

from collections.abc import Sequence

from actors.runners.base import Health, ProviderSpec

NO_PROVIDER = (
    "No model is configured: set ANTHROPIC_API_KEY, OPENAI_API_KEY, GEMINI_API_KEY or HF_TOKEN for the workers, "
    "run Ollama at OLLAMA_BASE_URL (http://localhost:11434), or install the demo model with "
    "`callboard models install-demo` and name `local-demo` under the agent's `providers`."
)


def health_of(specs: Sequence[ProviderSpec], *, has_offline: bool) -> Health:
    """What an agent can do with its chain: `ready`, `degraded` to its offline tools, or `unavailable`."""
    if any(spec.missing is None for spec in specs):
        return Health()
    if has_offline:
        return Health("degraded", f"Only its offline tools can run. {why_none(specs)}")
    return Health("unavailable", why_none(specs))


def why_none(specs: Sequence[ProviderSpec]) -> str:
    """What to configure, provider by provider."""
    whys = "; ".join(f"{spec.title}: {spec.missing}" for spec in specs if spec.missing is not None)
    return f"{NO_PROVIDER} ({whys})" if whys else NO_PROVIDER
