"""What recorder_node can be told, and what becomes of it: the card of a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from mmal_ros import __version__
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND
from mmal_ros.model_card import CARD_NAME, read_card, sha256
from mmal_ros.models import resolve_version
from mmal_ros.nodes.parameters import NodeParameters, ParameterError, parameter
from mmal_ros.paths import find_model
from mmal_ros.session.card import SessionCard, SessionError, new_code
from mmal_ros.session.records import Privacy
from mmal_ros.wording import without_password


@dataclass(frozen=True)
class RecorderParameters(NodeParameters):
    """What recorder_node can be told."""

    sessions: str = parameter("", "folder of all sessions; empty: $MMAL_HOME/sessions, or ~/mmal/sessions")
    participant: str = parameter("", "a code with a digit, never a name; empty: who starts a session must give one")
    privacy: str = parameter("clips", "what is kept of picture and sound", choices=tuple(Privacy))
    auto_start: bool = parameter(False, "begin to record at activation")
    devices: list[str] = parameter([""], "what the sensors are, for the card: camera=device:0")
    model: str = parameter("", "model set, for the card; empty: what engagement_node says")
    rate_hz: float = parameter(10.0, "of the estimates, for the card", unit="Hz", minimum=1.0, maximum=50.0)
    max_delay_ms: float = parameter(40.0, "of the estimates, for the card", unit="ms", minimum=0.0, maximum=1000.0)
    policy: str = parameter("", "selector that flags, for the card")
    budget: int = parameter(0, "labels it may ask for, for the card", minimum=0, maximum=10_000)


def session_card(settings: RecorderParameters, participant: str, privacy: str, now_ns: int, clock: str) -> SessionCard:
    """The card of a session that begins now; its name is still to be given.

    Args:
        settings: the node's.
        participant: a code; empty: that of the settings.
        privacy: `features_only`, `clips` or `full`; empty: that of the settings.
        now_ns: when it begins.
        clock: what that was read from, `system` or `sim`.

    Raises:
        SessionError: participant or privacy are wrong.
        ParameterError, ModelError: a setting is.
    """
    fields = {
        "name": "",
        "participant": new_code(participant or settings.participant),
        "start": datetime.fromtimestamp(now_ns / NANOSECONDS_PER_SECOND, UTC),
        "start_ns": now_ns,
        "privacy": _privacy(privacy or settings.privacy),
        "devices": _devices(settings.devices),
        "clock": clock,
        "rate_hz": settings.rate_hz,
        "max_delay_ms": settings.max_delay_ms,
        "policy": settings.policy,
        "budget": settings.budget,
        "software": __version__,
    }
    return SessionCard.model_validate(fields | _model(settings.model))


def _model(name: str) -> dict[str, str]:
    """What the card says of the model set."""
    if not name:
        return {}
    folder = resolve_version(find_model(name))
    identity = read_card(folder).identity
    return {"model": identity, "model_folder": str(folder.absolute()), "model_sha256": sha256(folder / CARD_NAME)}


def _devices(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given if text]
    wrong = next((name for name, equals, spec in pairs if not (name and equals and spec)), None)
    if wrong is not None:
        raise ParameterError(f"parameter 'devices' has {wrong!r}; expected sensor=SPEC, for example camera=device:0")
    return {name: without_password(spec) for name, _, spec in pairs}


def _privacy(name: str) -> Privacy:
    try:
        return Privacy(name)
    except ValueError as error:
        raise SessionError(f"privacy is {name!r}; possible: {', '.join(Privacy)}") from error
