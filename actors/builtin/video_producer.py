"""video-producer: has a short clip made by OpenAI's video API, and never orders the same clip twice."""

from __future__ import annotations

import time
from decimal import Decimal

import httpx2

from actors.runners import outbound
from actors.runners.base import JSON, Context, Health, Work
from actors.runners.environment import asked_for
from actors.runners.http import failure, translated
from app.budgets.usage import Usage
from app.errors import PermanentError, TemporaryError

BASE_URL = "https://api.openai.com/v1"
SIZES = {"landscape": "1280x720", "portrait": "720x1280"}
# Dollars for a second of 720p, by the price list of October 2025.
USD_A_SECOND = {"sora-2": Decimal("0.10"), "sora-2-pro": Decimal("0.30")}
PRICE_LIST = "video-2025-10"
POLL_SECONDS = 5.0
CALL_SECONDS = 60.0
MOST_BYTES = 200_000_000
NEEDS = "Set OPENAI_API_KEY in the workers' environment; the account must be allowed to use the video models."


def health() -> Health:
    """`ready` when there is a key; whether the account may make videos shows only with the first order."""
    return Health() if _variable("OPENAI_API_KEY") else Health("unavailable", NEEDS)


def run(work: Work, context: Context) -> JSON:
    """Order the clip, or find the one an earlier attempt ordered; wait for it; keep it."""
    key = _variable("OPENAI_API_KEY")
    if not key:
        raise PermanentError(NEEDS)
    base_url = _variable("OPENAI_BASE_URL")
    patrol = context.checkpoint_due
    with outbound.client(patrol=patrol, timeout=CALL_SECONDS, allow_private=bool(base_url)) as client:
        service = Service(client, base_url or BASE_URL, key)
        video_id = _ordered(work, context, service)
        _wait(context, service, video_id)
        context.stage("download", "Fetching the clip")
        clip = service.content(video_id)
    name = str(work.parameters.get("filename") or "video.mp4")
    context.artifact(name, clip, "video/mp4")
    context.progress(100, "Done")
    return {
        "video_id": video_id,
        "file_path": name,
        "duration_seconds": _seconds(work),
        "size": _size(work),
        "model_used": f"OpenAI - {_model(work)}",
        "size_bytes": len(clip),
    }


def _ordered(work: Work, context: Context, service: Service) -> str:
    """The clip's id; the order is kept with the job before anything else can go wrong."""
    kept = context.checkpoint().get("video_id")
    if kept:
        context.log(f"An earlier attempt ordered the clip {kept}; waiting for that one")
        return str(kept)
    context.stage("order", f"Ordering {_seconds(work)} seconds of video")
    video_id = service.order(_model(work), str(work.parameters["prompt"]), _seconds(work), _size(work))
    context.checkpoint({"video_id": video_id})
    cost = USD_A_SECOND[_model(work)] * _seconds(work)
    context.meter(
        Usage(
            call_id=video_id,
            provider="openai",
            model=_model(work),
            cost_usd=cost,
            cost_status="derived",
            price_version=PRICE_LIST,
            final=True,
        )
    )
    context.pin(provider="openai", model=_model(work))
    context.event(
        "provider", f"Ordered {_seconds(work)} s of {_model(work)} for ${cost:.2f}", video_id=video_id
    )
    return video_id


def _wait(context: Context, service: Service, video_id: str) -> None:
    """Ask every few seconds until the clip is there."""
    while True:
        context.checkpoint_due()
        state = service.state(video_id)
        status = state.get("status")
        if status == "completed":
            return
        if status == "failed":
            error = state.get("error") or {}
            said = f"{error.get('code', 'failed')}: {error.get('message', 'no reason was given')}"
            raise PermanentError(f"The video service could not make the clip: {said}"[:1000])
        context.progress(5 + 0.9 * float(state.get("progress") or 0), f"The service is at work ({status})")
        _pause(context)


def _pause(context: Context) -> None:
    until = time.monotonic() + POLL_SECONDS
    while time.monotonic() < until:
        context.checkpoint_due()
        time.sleep(0.1)


class Service:
    """The three calls of the video API."""

    def __init__(self, client: httpx2.Client, base_url: str, key: str) -> None:
        """Calls go to `base_url` with the key as bearer token."""
        self.client, self.base = client, base_url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {key}"}

    def order(self, model: str, prompt: str, seconds: int, size: str) -> str:
        """Have a clip made; answers its id."""
        fields = {"model": model, "prompt": prompt, "seconds": str(seconds), "size": size}
        answer = self._call("POST", "/videos", files={name: (None, value) for name, value in fields.items()})
        video_id = answer.json().get("id")
        if not isinstance(video_id, str):
            raise TemporaryError("The video service took the order without giving it an id.")
        return video_id

    def state(self, video_id: str) -> JSON:
        """How far it is: {status, progress, error?}."""
        state: JSON = self._call("GET", f"/videos/{video_id}").json()
        return state

    def content(self, video_id: str) -> bytes:
        """The MP4."""
        content = self._call("GET", f"/videos/{video_id}/content").content
        if len(content) > MOST_BYTES:
            raise PermanentError(f"The clip has {len(content) >> 20} MB; that is more than is kept.")
        return content

    def _call(self, method: str, path: str, **more: object) -> httpx2.Response:
        url = self.base + path
        with translated(url):
            response = self.client.request(method, url, headers=self.headers, **more)  # type: ignore[arg-type]
        if not response.is_success:
            raise failure(response, response.content)
        return response


def _variable(name: str) -> str | None:
    return asked_for({"secrets": [name]}, "secrets").get(name)


def _model(work: Work) -> str:
    return str(work.parameters.get("model") or "sora-2")


def _seconds(work: Work) -> int:
    return int(work.parameters.get("duration_seconds") or 4)


def _size(work: Work) -> str:
    return SIZES[work.parameters.get("orientation") or "landscape"]
