"""selector_node: estimates and features in, the few windows that are worth a label out, within a budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_msgs.msg import Engagement, ModelInfo, Recorded, SessionStatus
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Modality
from mmal_ros.discretion import discreet
from mmal_ros.model_card import ModelError
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.nodes import parameters
from mmal_ros.nodes.conversions import MessageError, estimate_from_message, frame_from_message, query_to_message, to_ns
from mmal_ros.nodes.diagnostics import Diagnostics, Health, Report
from mmal_ros.nodes.flags_by_people import FlagsByPeople
from mmal_ros.nodes.model_in_use import folder_of
from mmal_ros.nodes.parameters import NodeParameters, ParameterError, parameter
from mmal_ros.nodes.sending import MUST_ARRIVE, send
from mmal_ros.nodes.topics import (
    ENGAGEMENT,
    FEATURES,
    MODEL_INFO,
    QUERY,
    RECORDED,
    SESSION_STATUS,
    SIGNALS,
    Topic,
)
from mmal_ros.nodes.transitions import ManagedNode, accounted
from mmal_ros.paths import find_model
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_registry import LIVE_POLICIES, make_live_policy
from mmal_ros.selector.live_vocabulary import Decision, LivePolicy
from mmal_ros.selector.live_windows import LiveWindows
from mmal_ros.selector.registry import DEFAULT, SelectorError
from mmal_ros.sensors.source import monotonic_s

STALE_S = 3.0
"""An estimate that came longer ago is not about now: it cannot be flagged."""
SILENT_S = 0.8
"""An estimate that is later than this is missed: diagnostics, once a second, say so within 2 s."""
SECONDS_PER_MINUTE = 60


@dataclass(frozen=True)
class SelectorParameters(NodeParameters):
    """What selector_node can be told."""

    model: str = parameter("demo", "folder of the model set that engagement_node uses, or its name")
    policy: str = parameter(DEFAULT, "what decides which windows are flagged", choices=tuple(LIVE_POLICIES))
    budget: int = parameter(20, "labels that may be asked for in a session", minimum=0, maximum=500)
    expected_duration_min: float = parameter(
        25.0, "how long a session usually is: the budget is spread over it", unit="min", minimum=0.1, maximum=600.0
    )  # MMQL 2019, sec. 4: about 25 minutes a child
    refractory_s: float = parameter(
        5.0, "between two windows that the policy flags", unit="s", minimum=1.0, maximum=600.0
    )
    seed: int = parameter(0, "of what is random", minimum=0, maximum=2**31 - 1)
    tag_button: bool = parameter(True, "the wristband's button flags what is happening now")


class SelectorNode(ManagedNode):
    """Flags windows while a session is being recorded, or all the time where nobody records sessions."""

    def __init__(self, name: str = "selector_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        parameters.declare(self, SelectorParameters)
        self.failure = ""
        """Why the last transition failed, in one sentence."""
        self._active = False
        self._session = ""  # the one that is being recorded
        self._between_sessions = False  # as the recorder said last
        self._started_ns = 0  # what ended before is not of this session, and the recorder does not take it
        self._newest: Engagement | None = None
        self._newest_came_s = 0.0
        self._recorded: deque[Recorded] = deque(maxlen=RECORDED.qos.depth)  # not counted yet
        self._problem = ""
        self._diagnostics = Diagnostics(self, self._reports, lambda: self._active)

    @accounted(ParameterError, ModelError, SelectorError)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Read the parameters, load scale and trained criteria, make the topics."""
        self.settings = parameters.read(self, SelectorParameters)
        self._use(load_model_set(find_model(self.settings.model)))
        self._selector = self._fresh_selector()
        self._queries = self.create_lifecycle_publisher(QUERY.type, QUERY.name, QUERY.qos)
        self._people = FlagsByPeople(self, lambda: self._selector, self._moment, self._publish)
        self._heard = [
            *(self._listen(FEATURES[modality], partial(self._on_frame, modality)) for modality in Modality),
            self._listen(ENGAGEMENT, self._on_engagement),
            self._listen(SESSION_STATUS, self._on_status),
            self._listen(RECORDED, self._on_recorded),
            self._listen(MODEL_INFO, self._on_model),
        ]
        if self.settings.tag_button:
            self._heard.append(self._listen(SIGNALS["tag"], self._people.on_tag))
        return TransitionCallbackReturn.SUCCESS

    @accounted()
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin with the whole budget, or go on with the session that is being recorded."""
        super().on_activate(state)
        if not self._session:
            self._selector = self._fresh_selector()
        self._active = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to flag."""
        self._active = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget the topics; the next configuration makes them anew."""
        for subscription in self._heard:
            self.destroy_subscription(subscription)
        self._people.destroy()
        self.destroy_lifecycle_publisher(self._queries)
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to flag."""
        self._active = False
        return TransitionCallbackReturn.SUCCESS

    @property
    def _resting(self) -> bool:
        """There is a recorder, and it is not recording."""
        return self._between_sessions and self.count_publishers(SESSION_STATUS.name) > 0

    def now_ns(self) -> int:
        """The node's clock."""
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds

    def _listen(self, topic: Topic, hear: Callable[[Any], None]) -> Any:
        return self.create_subscription(topic.type, topic.name, hear, topic.qos)

    def _on_frame(self, modality: Modality, message: FeatureFrameMessage) -> None:
        if self._active:
            self._windows.accept(frame_from_message(message, modality), self.now_ns())

    def _on_engagement(self, message: Engagement) -> None:
        if not self._active:
            return
        self._newest, self._newest_came_s = message, monotonic_s()
        self._count_recorded(message)
        try:
            window = self._windows.window(estimate_from_message(message))
        except MessageError as error:
            self.get_logger().error(str(error), throttle_duration_sec=10.0)
            return
        if window is not None and window.end_ns >= self._started_ns and not self._resting:
            self._publish(*self._selector.offer(window))

    def _on_recorded(self, message: Recorded) -> None:
        self._recorded.append(message)

    def _count_recorded(self, newest: Engagement) -> None:
        """Flags of this session from before the node was started again count; the recorder knows them."""
        if not self._session:
            return
        while self._recorded:
            recorded = self._recorded.popleft()
            if recorded.session == self._session:
                stamp_ns = min(recorded.window_id * _period_ns(newest), to_ns(newest.header.stamp))  # none is of later
                self._selector.count_in(recorded.window_id, stamp_ns, withdrawn=recorded.withdrawn)

    def _on_status(self, message: SessionStatus) -> None:
        """A new session has the whole budget; between two sessions nothing is flagged."""
        self._between_sessions = not message.recording
        if message.recording and message.session != self._session:
            elapsed_ns = max(0, self.now_ns() - to_ns(message.started))
            self._selector = self._fresh_selector(elapsed_ns / NANOSECONDS_PER_SECOND)
        self._session = message.session if message.recording else ""
        self._started_ns = to_ns(message.started) if message.recording else 0

    def _on_model(self, message: ModelInfo) -> None:
        """engagement_node uses another set: follow it, if it can be found here."""
        identity = f"{message.name}/{message.version}"
        if identity == self._models.card.identity:
            self._problem = ""
            return
        try:
            models = load_model_set(folder_of(message.name, message.version, self._models.folder))
            self._selector.policy = self._policy_of(models)  # flags and budget stay
            self._use(models)
        except (ModelError, SelectorError) as error:
            self._problem = f"another model runs, but windows are still chosen as with {self._models.card.shown}"
            self.get_logger().error(discreet(f"{self._problem}: {error}"))

    def _moment(self) -> Engagement:
        """The newest estimate, if something can be flagged now; else raises SelectorError that says why not."""
        if not self._active:
            raise SelectorError("selector_node is not active; activate it first")
        if self._resting:
            raise SelectorError("no session is being recorded; start one first")
        if self._newest is None or self._age_s > STALE_S:
            raise SelectorError("no estimates are coming; is engagement_node active?")
        if to_ns(self._newest.header.stamp) < self._started_ns:
            raise SelectorError("the session has only begun; try again in a moment")
        return self._newest

    @property
    def _age_s(self) -> float:
        """Since the newest estimate came."""
        return monotonic_s() - self._newest_came_s

    @property
    def _missed(self) -> bool:
        """Whether an estimate should have come by now."""
        period_s = _period_ns(self._newest) / NANOSECONDS_PER_SECOND if self._newest is not None else 0.0
        return self._age_s > SILENT_S + period_s

    def _publish(self, *decisions: Decision) -> None:
        for decision in decisions:
            send(self._queries, query_to_message(decision), MUST_ARRIVE)

    def _use(self, models: ModelSet) -> None:
        self._models = models
        self._windows = LiveWindows(models.card)
        self._problem = ""

    def _policy_of(self, models: ModelSet) -> LivePolicy:
        return make_live_policy(self.settings.policy, models.trained, self.settings.seed)

    def _fresh_selector(self, elapsed_s: float = 0.0) -> LiveSelector:
        return LiveSelector(
            self._policy_of(self._models),
            budget=self.settings.budget,
            expected_s=self.settings.expected_duration_min * SECONDS_PER_MINUTE,
            refractory_s=self.settings.refractory_s,
            elapsed_s=elapsed_s,
        )

    def _reports(self) -> Iterable[Report]:
        if not self._active:
            return
        trouble = self._problem or ("no estimates are coming" if self._missed else "")
        selector = self._selector
        yield Report(
            "flags",
            Health.WARN if trouble else Health.OK,
            trouble or ("no session is being recorded" if self._resting else "ok"),
            {
                "policy": selector.policy.name,
                "model": self._models.card.shown,
                "budget": selector.budget,
                "budget left": selector.left,
                "flags": len(selector.flags),
                "session": self._session,
            },
        )


def _period_ns(message: Engagement) -> int:
    """From one estimate to the next."""
    stamp_ns, number = to_ns(message.header.stamp), int(message.window_id)
    return max(0, stamp_ns) // max(1, number)
