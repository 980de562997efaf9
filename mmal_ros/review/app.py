"""The application: pages, what they ask for, and the gate around all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse
from starlette.staticfiles import StaticFiles

from mmal_ros import __version__
from mmal_ros.paths import personal_models_folder
from mmal_ros.review.answers import REFUSALS, answer_errors
from mmal_ros.review.labels_api import labels_routes
from mmal_ros.review.library import Library
from mmal_ros.review.live import LiveFeed, live_routes
from mmal_ros.review.personalisation import Personalisations
from mmal_ros.review.personalise_api import personalise_routes
from mmal_ros.review.report import CONTENT_SECURITY_POLICY, report_page
from mmal_ros.review.roles import Role
from mmal_ros.review.security import LOOPBACK_NAMES, Access, Gate
from mmal_ros.review.sessions_api import sessions_routes
from mmal_ros.review.timeline_api import timeline_routes

HERE = Path(__file__).parent
PAGES = HERE / "templates"


def create_app(
    root: Path,
    token: str,
    live: LiveFeed | None = None,
    models: Path | None = None,
    *,
    only: Collection[str] = (),
    names: frozenset[str] = LOOPBACK_NAMES,
    secure: bool = False,
    coder_token: str = "",
) -> FastAPI:
    """The review server, to be run by any ASGI server.

    Args:
        root: folder of the sessions.
        token: who has it may see and do everything.
        live: a running graph, for the live page; None: there is none.
        models: folder of the participants' model sets; by default `paths.personal_models_folder()`.
        only: names of the sessions that are shown; empty: all below `root`.
        names: host names under which the server may be called, besides addresses in digits.
        secure: it is served under TLS.
        coder_token: who has it may only label; empty: nobody.
    """
    library, models = Library(root, only), models or personal_models_folder()

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        app.state.ending = asyncio.Event()
        yield

    app = FastAPI(
        title="mmal review",
        version=__version__,
        lifespan=running,
        responses=REFUSALS,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.include_router(sessions_routes(library))
    app.include_router(timeline_routes(library))
    app.include_router(labels_routes(library))
    app.include_router(personalise_routes(Personalisations(root, models), models))
    app.include_router(live_routes(live))
    _add_pages(app, library)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    answer_errors(app)
    app.add_middleware(Gate, access=Access(token, coder_token, names, secure))
    return app


def _add_pages(app: FastAPI, library: Library) -> None:
    @app.get("/api/access")
    def access(request: Request) -> dict[str, Role]:
        """What the link may do that was opened, so that the page hides the rest."""
        return {"role": request.state.role}

    @app.get("/", include_in_schema=False)
    def index() -> FileResponse:
        return FileResponse(PAGES / "index.html")

    @app.get("/session/{name}", include_in_schema=False)
    def session(name: str) -> FileResponse:
        library.session(name)
        return FileResponse(PAGES / "session.html")

    @app.get("/session/{name}/report", include_in_schema=False)
    def report(name: str) -> HTMLResponse:
        page = report_page(library.session(name))
        return HTMLResponse(page, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY})

    @app.get("/live", include_in_schema=False)
    def live() -> FileResponse:
        return FileResponse(PAGES / "live.html")
