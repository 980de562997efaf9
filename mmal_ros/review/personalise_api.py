"""From labels to a model of this child: start, look how it went, accept, go back."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi import Path as InPath
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from mmal_ros.model_card import ModelError
from mmal_ros.model_versions import current, rollback, use, versions
from mmal_ros.review.personalisation import BusyError, Personalisations
from mmal_ros.session.card import checked_code

Code = Annotated[str, InPath(description="of a participant"), AfterValidator(checked_code)]


class Choice(BaseModel):
    """Which version is meant."""

    model_config = ConfigDict(extra="forbid")

    version: str = Field(min_length=1, max_length=64)


def personalise_routes(personalisations: Personalisations, models: Path) -> APIRouter:
    """Jobs and versions of participants."""
    routes, switching = APIRouter(prefix="/api/participants/{code}"), Lock()

    @routes.post("/personalise", status_code=HTTPStatus.ACCEPTED)
    async def start(code: Code) -> dict[str, Any]:
        try:
            personalisations.start(code)
        except BusyError as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        return _job(personalisations, code)

    @routes.get("/personalise")
    def look(code: Code) -> dict[str, Any]:
        return {**_job(personalisations, code), **_versions(models / code)}

    @routes.post("/models/use")
    def accept(code: Code, choice: Choice) -> dict[str, Any]:
        use(models / code, choice.version)
        return {"message": f"Version {choice.version} is in use from now on.", **_versions(models / code)}

    @routes.post("/models/rollback")
    def back(code: Code, leaving: Choice) -> dict[str, Any]:
        """Leave the version that is in use; who names another one looks at an old page."""
        with switching:  # two pages at once
            live = current(models / code)
            if live and leaving.version != live:
                raise ModelError(f"Somebody has switched meanwhile: version {live} is in use, not {leaving.version}.")
            version = rollback(models / code)
        return {"message": f"Back to version {version}.", **_versions(models / code)}

    return routes


def _job(personalisations: Personalisations, code: str) -> dict[str, Any]:
    job = personalisations.of(code)
    progress = {"done": job.done, "of": job.of}
    return {"state": job.state.value, "progress": progress, "message": job.message, "result": job.result}


def _versions(folder: Path) -> dict[str, Any]:
    """What is live, and what else there is; nothing where nobody was personalised yet."""
    try:
        there = versions(folder)
    except ModelError:
        return {"current": None, "versions": []}
    return {"current": current(folder), "versions": [{**asdict(v), "metrics": dict(v.metrics)} for v in there]}
