"""The live page beside a run in the same process: the pages of `mmal review`, and the graph that they show."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


@contextmanager
def live_page(sessions: Path, models: Path, port: int | None = None, namespace: str = "/mmal") -> Iterator[str]:
    """Serve the pages to this computer; gives the link to the live one.

    Args:
        sessions: folder of the sessions that the pages show.
        models: folder of the participants' models.
        port: the first one to try; None: the usual one.
        namespace: of the graph.
    """
    from mmal_ros.cli.review import opened
    from mmal_ros.nodes.live_feed import graph_feed
    from mmal_ros.review.app import create_app
    from mmal_ros.review.security import new_token
    from mmal_ros.review.server import Address, open_socket, serving

    address, token = Address() if port is None else Address(port=port), new_token()
    with ExitStack() as stack:
        bound = stack.enter_context(open_socket(address))
        feed = stack.enter_context(graph_feed(namespace))
        app = create_app(sessions, token, feed, models)
        stack.enter_context(serving(app, bound, address))
        link = address.link(bound.getsockname()[1], token, "/live")
        stack.enter_context(opened(link))
        yield link
