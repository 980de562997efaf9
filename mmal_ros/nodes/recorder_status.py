"""How the recording goes, in the words of ROS."""

from __future__ import annotations

from std_msgs.msg import Header

from mmal_msgs.msg import Recorded, SessionStatus
from mmal_ros.nodes.conversions import to_time
from mmal_ros.nodes.diagnostics import Health, Report
from mmal_ros.session.recorder import OnDisk, SessionRecorder


def recorded_message(what: OnDisk, now_ns: int) -> Recorded:
    """The acknowledgement of what is on disk."""
    return Recorded(
        header=Header(stamp=to_time(now_ns)),
        session=what.session,
        window_id=what.window_id,
        withdrawn=what.withdrawn,
        clip=what.clip,
    )


def status_message(recorder: SessionRecorder | None, now_ns: int, hindrance: str = "") -> SessionStatus:
    """What session/status says; `hindrance`: why a session that should begin cannot."""
    status = SessionStatus(header=Header(stamp=to_time(now_ns)), recording=recorder is not None, problem=hindrance)
    if recorder is not None:
        card = recorder.card
        status.session, status.participant, status.privacy = card.name, card.participant, card.privacy.value
        status.started = to_time(card.start_ns)
        status.flags, status.bytes_written, status.problem = (
            recorder.flags,
            recorder.bag.bytes_written,
            recorder.problem,
        )
    return status


def session_report(recorder: SessionRecorder | None, hindrance: str = "") -> Report:
    """What /diagnostics says; `hindrance`: why a session that should begin cannot."""
    if recorder is None:
        health = Health.ERROR if hindrance else Health.OK
        return Report("session", health, hindrance or "nothing is being recorded", {})
    values = {
        "flags": recorder.flags,
        "bytes written": recorder.bag.bytes_written,
        "messages dropped": recorder.bag.dropped,
        "clips lost": recorder.clips_lost,
    }
    problem = recorder.problem  # at one moment: it comes and goes
    return Report("session", Health.ERROR if problem else Health.OK, problem or "recording", values)
