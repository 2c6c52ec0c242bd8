"""From a provider as the desk describes it to a model that can be asked (imports pydantic_ai)."""

from __future__ import annotations

import atexit
import os
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings

from actors.models import local_demo
from actors.models.loop import Errand
from actors.models.wish import Wish
from actors.runners.base import ProviderSpec
from app.observe import correlation

if TYPE_CHECKING:
    from pydantic_ai.profiles.openai import OpenAIModelProfile

OPENAI_HOST = "api.openai.com"
CONNECT_SECONDS = 10.0
MARGIN_SECONDS = 10.0
HANG_UP_SECONDS = 1.0
NO_KEY = "none"  # the clients insist on one; local servers do not look at it


def model_for(spec: ProviderSpec, name: str) -> Model:
    """The model `name` of a provider; the demo's server is started if need be. Call it on a worker's own thread."""
    if spec.provider_id == local_demo.PROVIDER_ID:
        base_url, key = local_demo.served()
        spec = replace(spec, base_url=base_url, api_key=key)
    return anthropic_model(spec, name) if spec.kind == "anthropic" else openai_model(spec, name)


def openai_model(spec: ProviderSpec, name: str) -> Model:
    """Whatever speaks the chat completions of OpenAI."""
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

    client = AsyncOpenAI(
        base_url=spec.base_url,
        api_key=spec.api_key or NO_KEY,
        http_client=http_client(os.getpid()),
        max_retries=0,
    )
    if urlsplit(spec.base_url).hostname == OPENAI_HOST:
        return OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client), profile=WHOLE_ANSWERS)
    provider = OpenAICompatibleProvider(spec.provider_id, openai_client=client)
    return OpenAIChatModel(name, provider=provider, profile=profile_of(spec))


def profile_of(spec: ProviderSpec) -> OpenAIModelProfile:
    """What servers that only resemble OpenAI can do."""
    return {
        **WHOLE_ANSWERS,
        "openai_chat_supports_max_completion_tokens": False,
        "openai_supports_strict_tool_definition": False,
        # A local model is held to the grammar of the schema, yet does not see it.
        "native_output_requires_schema_in_instructions": spec.billing == "local",
    }


# A connection that ends before the model said why is a cut answer, not a short one.
WHOLE_ANSWERS: OpenAIModelProfile = {"openai_chat_streaming_requires_finish_reason": True}


def anthropic_model(spec: ProviderSpec, name: str) -> Model:
    """The Messages API."""
    from anthropic import AsyncAnthropic
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    client = AsyncAnthropic(
        base_url=spec.base_url,
        api_key=spec.api_key or NO_KEY,
        http_client=http_client(os.getpid()),
        max_retries=0,
    )
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


@cache
def http_client(pid: int) -> httpx2.AsyncClient:
    """One pool of connections for the one loop of this process; it ends with it."""
    client = httpx2.AsyncClient(
        timeout=httpx2.Timeout(60, connect=CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=200, max_keepalive_connections=20),
        event_hooks={"request": [_carry]},
    )

    def hang_up() -> None:
        if os.getpid() == pid:  # not in a fork, whose loop is another
            Errand(client.aclose()).ended_within(HANG_UP_SECONDS)

    atexit.register(hang_up)
    return client


async def _carry(request: httpx2.Request) -> None:
    """Let the provider's side of a call be found by our ids; all of them take headers they do not know."""
    request.headers.update(correlation.headers())


def settings_for(wish: Wish) -> ModelSettings:
    """How a model is asked; the queue owns the retries, so the clients make none."""
    silence = max(wish.first_byte_seconds, wish.chunk_seconds) + MARGIN_SECONDS
    settings = ModelSettings(
        max_tokens=wish.max_output_tokens,
        max_retries=0,
        timeout=httpx2.Timeout(silence, connect=CONNECT_SECONDS),
    )
    if wish.temperature is not None:
        settings["temperature"] = wish.temperature
    return settings
