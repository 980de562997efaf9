"""recorder_node: what the graph says becomes a session on disk; a flag is acknowledged when it is safely there."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from std_srvs.srv import Trigger

from mmal_msgs.srv import StartSession
from mmal_ros.discretion import discreet
from mmal_ros.model_card import ModelError
from mmal_ros.nodes import parameters
from mmal_ros.nodes.conversions import MessageError
from mmal_ros.nodes.diagnostics import Diagnostics, Report
from mmal_ros.nodes.parameters import ParameterError
from mmal_ros.nodes.recorded_topics import ALWAYS, SEEN_AND_HEARD, bag_topic, recorded_topics
from mmal_ros.nodes.recorder_parameters import RecorderParameters, session_card
from mmal_ros.nodes.recorder_status import recorded_message, session_report, status_message
from mmal_ros.nodes.sending import MUST_ARRIVE, send
from mmal_ros.nodes.session_feed import feed
from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import MODEL_INFO, RECORDED, SESSION_STATUS, START_SESSION, STOP_SESSION, Topic
from mmal_ros.nodes.transitions import ManagedNode, accounted
from mmal_ros.paths import expanded, sessions_folder
from mmal_ros.session.bag_metadata import BagTopic
from mmal_ros.session.card import SessionCard, SessionError
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.going_on import GoingOn
from mmal_ros.session.recorder import OnDisk, SessionRecorder
from mmal_ros.session.records import Privacy
from mmal_ros.stopping import told_to_stop

STATUS_PERIOD_S = 1.0
NOTHING_RECORDED = "no session is being recorded"
UNREADABLE = "what the recorder before this one recorded cannot be read; is its disk there? Start a session, or stop"
STARTING_FAILS = (ParameterError, SessionError, ModelError)


class RecorderNode(ManagedNode):
    """Subscribes without decoding, and hands everything to a `SessionRecorder`."""

    def __init__(self, name: str = "recorder_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        parameters.declare(self, RecorderParameters)
        self._told = {name: one.value for name, one in sorted(self.get_parameters_by_prefix("").items())}
        self.failure = ""
        """Why the last transition failed, in one sentence."""
        self.recorder: SessionRecorder | None = None
        """The running session; None: nothing is recorded."""
        self._ended: list[SessionRecorder] = []  # their last clips may still be written
        self._changing = threading.RLock()  # held while one begins or ends: `mmal run` activates beside the executor
        self._undecided = False  # whether it is still to be found out what should be recorded
        self._wanted: tuple[str, str] | None = None  # participant and privacy of a session that cannot begin yet
        self._hindrance = ""
        self._going_on: GoingOn | None = None
        self._model_info = b""
        self._active = False
        self._seen_and_heard: list[Any] = []
        self._diagnostics = Diagnostics(self, self._reports, lambda: self._active)

    @accounted(*STARTING_FAILS)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read and check the parameters, make topics and services."""
        self.settings = parameters.read(self, RecorderParameters)
        self._try_card()
        root = self._root()
        if self.settings.activates_itself and self._going_on is None:  # else nobody starts it again
            self._going_on = GoingOn(root, f"{self.get_fully_qualified_name()} {self._told}")
        self._described = {topic.name: self._describe(topic) for topic in (*ALWAYS, *SEEN_AND_HEARD)}
        self._recorded = self.create_publisher(RECORDED.type, RECORDED.name, RECORDED.qos)
        self._status = self.create_publisher(SESSION_STATUS.type, SESSION_STATUS.name, SESSION_STATUS.qos)
        self._offered = [
            self.create_service(*START_SESSION, self._on_start),
            self.create_service(*STOP_SESSION, self._on_stop),
        ]
        return TransitionCallbackReturn.SUCCESS

    @accounted(*STARTING_FAILS)
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen; begin to record if told so, or go on where the recorder before this one died."""
        with self._changing:  # a page that asks for a session meanwhile hears what has become of this one
            super().on_activate(state)
            self._active = True
            self._model_info = b""
            self._always = [self._listen(topic) for topic in ALWAYS]
            self._timer = steady_timer(self, STATUS_PERIOD_S, self._look)
            self._undecided = True
            self._look()
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the session, if there is one."""
        self._silence()
        self._remember(None)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the topics; the next configuration makes them anew."""
        self._silence()
        for service in self._offered:
            self.destroy_service(service)
        self.destroy_publisher(self._recorded)
        self.destroy_publisher(self._status)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End the session, if there is one."""
        self._silence()
        if told_to_stop() and self._going_on is not None:  # else it went wrong, and another one takes its place
            self._going_on.forget()
        return TransitionCallbackReturn.SUCCESS

    def start(self, participant: str = "", privacy: str = "") -> SessionRecorder:
        """Begin a session; raises SessionError, ParameterError or ModelError. Empty: as the parameters say."""
        with self._changing:
            if self.recorder is not None:
                raise SessionError(f"{self.recorder.folder.name} is being recorded; stop it first")
            if not self._active:
                raise SessionError("recorder_node is not active; activate it first")
            if not self.now_ns():
                raise SessionError("the simulated clock has not begun; does anything publish /clock?")
            card = self._card(participant, privacy)
            topics = [self._described[topic.name] for topic in recorded_topics(card.privacy)]
            self.recorder = SessionRecorder(self._root(), card, topics, self.now_ns, self._acknowledge)
            if self._model_info:
                self._hear(MODEL_INFO, self._model_info)
            if card.privacy is not Privacy.FEATURES_ONLY:
                self._seen_and_heard = [self._listen(topic) for topic in SEEN_AND_HEARD]
            self._remember(self.recorder.folder)
            self.get_logger().info(f"recording ({card.privacy})")  # no path: it has a participant's code
            self._publish_status()
            return self.recorder

    def stop(self) -> SessionRecorder | None:
        """End the session, if there is one; its last clips may take some seconds more."""
        with self._changing:
            for subscription in self._seen_and_heard:
                self.destroy_subscription(subscription)
            self._seen_and_heard = []
            if self.recorder is None:
                return None
            ended = self.recorder
            self._ended = [*(before for before in self._ended if before.is_writing), ended]
            self.recorder = None  # now that it is waited for, whoever interrupts this
            ended.stop()
            self.get_logger().info(f"recorded: {ended.flags} flags")
            self._publish_status()
            return ended

    def now_ns(self) -> int:
        """The node's clock."""
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds

    def _what_to_record(self) -> tuple[str, str] | None:
        """What was being recorded when the recorder before this one died; else what the parameters say.

        Raises SessionError where it cannot be known now.
        """
        before = None if self._going_on is None else self._going_on.recall()
        if before is None:
            return ("", "") if self.settings.auto_start else None
        if before.card is None:
            if not before.is_stopped:
                raise SessionError(UNREADABLE)
            self.get_logger().warning("the recorder before this one died; its session had ended, and none is begun")
            return None
        self.get_logger().warning("the recorder before this one died; what it recorded goes on in another session")
        return before.card.participant, before.card.privacy.value

    def _look(self) -> None:
        """Once a second: begin what could not begin, and say how it goes."""
        if self._changing.acquire(blocking=False):  # else another thread is at it
            try:
                self._begin()
                if self._going_on is not None:
                    self._going_on.keep_fresh()
            finally:
                self._changing.release()
        self._publish_status()

    def _begin(self) -> None:
        """What should be recorded, as soon as that is known and possible."""
        try:
            if self._undecided:
                self._wanted = self._what_to_record()
                self._undecided, self._hindrance = False, ""
            if self._wanted is not None:
                self.start(*self._wanted)
        except STARTING_FAILS as error:
            if not self.settings.activates_itself:
                raise  # who activates it hears of it
            self._hindrance = f"no session can begin, which is tried again: {error}"

    def _remember(self, folder: SessionFolder | None) -> None:
        """Nothing waits to begin any more; whoever takes this recorder's place shall know what it records, if any."""
        self._undecided, self._wanted, self._hindrance = False, None, ""
        if self._going_on is not None:
            self._going_on.remember(folder)

    def _card(self, participant: str, privacy: str) -> SessionCard:
        clock = "sim" if self.get_parameter("use_sim_time").value else "system"
        return session_card(self.settings, participant, privacy, self.now_ns(), clock)

    def _try_card(self) -> None:
        """Raises ParameterError or ModelError where no session could begin as the parameters say."""
        try:
            self._card(self._trial_code(), "")
        except SessionError as error:
            raise ParameterError(str(error)) from error

    def _root(self) -> Path:
        """Of all sessions; raises ParameterError where nobody has such a home: it would be made wherever this runs."""
        told = self.settings.sessions
        try:
            return expanded(told, "parameter 'sessions'") if told else sessions_folder()
        except ValueError as error:
            raise ParameterError(str(error)) from error

    def _trial_code(self) -> str:
        """Whose card can be tried out when nobody is known yet."""
        return "" if self.settings.auto_start or self.settings.participant else "nobody0"

    def _silence(self) -> None:
        """Stop to listen, end the session and wait for its clips; harmless when called twice."""
        if self._active:
            self._active = False
            for subscription in self._always:
                self.destroy_subscription(subscription)
            self.destroy_timer(self._timer)
        self.stop()
        while self._ended:
            ended = self._ended[0]
            ended.join()  # first: whoever is interrupted here comes again, and waits for it again
            self._ended = [other for other in self._ended if other is not ended]

    def _describe(self, topic: Topic) -> BagTopic:
        return bag_topic(topic, self.resolve_topic_name(topic.name))

    def _listen(self, topic: Topic) -> Any:
        """Undecoded: that is for the few who need it."""
        return self.create_subscription(topic.type, topic.name, partial(self._hear, topic), topic.qos, raw=True)

    def _hear(self, topic: Topic, data: bytes) -> None:
        if topic is MODEL_INFO:
            self._model_info = data
        if self.recorder is None:
            return
        try:
            feed(self.recorder, topic, self._described[topic.name].name, data, self.now_ns())
        except MessageError as error:
            self.get_logger().error(f"{topic.name}: {error}", throttle_duration_sec=10.0)

    def _on_start(self, request: StartSession.Request, response: StartSession.Response) -> StartSession.Response:
        try:
            recorder = self.start(request.participant, request.privacy)
        except STARTING_FAILS as error:
            response.success, response.message = False, str(error)
            self.get_logger().error(discreet(response.message))
            return response
        response.success, response.folder = True, str(recorder.folder.path)
        response.message = f"recording {recorder.folder.name} ({recorder.card.privacy})"
        return response

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        with self._changing:
            waited, recorder = self._undecided or self._wanted is not None, self.stop()
            self._remember(None)
        response.success = waited or recorder is not None
        response.message = "the session that could not begin does not any more" if waited else NOTHING_RECORDED
        if recorder is not None:
            response.message = f"recorded {recorder.folder.path}"
        self._publish_status()
        return response

    def _acknowledge(self, what: OnDisk) -> None:
        """From the recorder's thread, when it would survive a power cut."""
        send(self._recorded, recorded_message(what, self.now_ns()), MUST_ARRIVE)

    def _publish_status(self) -> None:
        send(self._status, status_message(self.recorder, self.now_ns(), self._hindrance))

    def _reports(self) -> Iterable[Report]:
        if self._active:
            yield session_report(self.recorder, self._hindrance)
