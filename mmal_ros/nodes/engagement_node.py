"""engagement_node: feature frames in, an engagement estimate out at a steady rate, whatever the sensors do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from mmal_msgs.msg import Engagement, ModalityEstimate
from mmal_msgs.msg import FeatureFrame as FeatureFrameMessage
from mmal_msgs.srv import ReloadModel
from mmal_ros.datatypes import Modality, Status
from mmal_ros.discretion import discreet
from mmal_ros.model_card import ModelError
from mmal_ros.models import PROVIDERS, ModelSet, load_model_set
from mmal_ros.nodes import parameters
from mmal_ros.nodes.conversions import (
    MODALITY_CODES,
    STATUS_NAMES,
    estimate_to_message,
    frame_from_message,
    model_to_message,
)
from mmal_ros.nodes.diagnostics import Diagnostics, Health, RateMeter, Recent, Report
from mmal_ros.nodes.model_loading import PERIOD_S, LiveVersion, load_beside
from mmal_ros.nodes.parameters import NodeParameters, ParameterError, parameter
from mmal_ros.nodes.sending import send
from mmal_ros.nodes.steady import steady_timer
from mmal_ros.nodes.topics import ENGAGEMENT, FEATURES, MODEL_INFO, RELOAD_MODEL, Topic
from mmal_ros.nodes.transitions import ManagedNode, accounted
from mmal_ros.paths import find_model
from mmal_ros.pipeline import EngagementPipeline

SET_BACK = "the clock was set back: windows began anew"
LEFT_OUT = "windows were left out: the clock was set, or this computer stood still"


@dataclass(frozen=True)
class EngagementParameters(NodeParameters):
    """What engagement_node can be told."""

    model: str = parameter("demo", "folder of a model set, a participant's code, or the name of one that comes along")
    rate_hz: float = parameter(10.0, "estimates: 1, 2, 5, 10, 20, 40 or 50", unit="Hz", minimum=1.0, maximum=50.0)
    max_delay_ms: float = parameter(
        40.0, "how long an estimate waits for the features of a slow modality", unit="ms", minimum=0.0, maximum=1000.0
    )
    providers: list[str] = parameter(["cpu"], "ONNX execution providers, best first", choices=tuple(PROVIDERS))
    allow_fallback: bool = parameter(True, "go on on the CPU, loudly, when a GPU is not there or fails")


class EngagementNode(ManagedNode):
    """Windows, models and vote, at the rate that was asked for.

    Another model set is taken over between two estimates: when a service asks for it, and when another version of the
    model becomes the live one. It is loaded meanwhile; one that is refused changes nothing.

    While a model fails, and may not fall back to the CPU, nothing is published: an estimate without it would be another
    model's. Each window is tried, so estimates go on when it works again.
    """

    def __init__(self, name: str = "engagement_node", **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        parameters.declare(self, EngagementParameters)
        self.failure = ""
        """Why the last transition failed, in one sentence."""
        self._active = False
        self._rate = RateMeter()
        self._latest: Engagement | None = None
        self._rejected = {modality: Recent() for modality in Modality}
        self._jumps = Recent()
        self._broken = ""
        """Why windows cannot be estimated; empty: they can."""
        self._diagnostics = Diagnostics(self, self._reports, self._heard)
        self._pipeline: EngagementPipeline | None = None
        self._refused = ""
        one_at_a_time = MutuallyExclusiveCallbackGroup()
        self.create_service(*RELOAD_MODEL, self._on_reload, callback_group=one_at_a_time)
        steady_timer(self, PERIOD_S, self._on_watch, callback_group=one_at_a_time)

    @accounted(ParameterError, ModelError)
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model set and make the topics."""
        self.settings = parameters.read(self, EngagementParameters)
        self._live = LiveVersion(find_model(self.settings.model))
        self._pipeline = self._make_pipeline(self._load(self._live.path))
        self._estimates = self.create_lifecycle_publisher(ENGAGEMENT.type, ENGAGEMENT.name, ENGAGEMENT.qos)
        self._model_info = self.create_publisher(MODEL_INFO.type, MODEL_INFO.name, MODEL_INFO.qos)
        self._features = [self._listen(modality) for modality in Modality]
        self._announce_model()
        return TransitionCallbackReturn.SUCCESS

    @accounted()
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin with empty windows."""
        super().on_activate(state)
        assert self._pipeline is not None
        self._pipeline = self._make_pipeline(self._pipeline.estimator.models)
        self._rate, self._broken = RateMeter(), ""
        self._timer = steady_timer(self, 1 / self.settings.rate_hz, self._on_timer)
        self._active = True
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to publish."""
        self._rest()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Forget model and topics; the next configuration makes them anew."""
        for subscription in self._features:
            self.destroy_subscription(subscription)
        self.destroy_lifecycle_publisher(self._estimates)
        self.destroy_publisher(self._model_info)
        self._pipeline = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop to publish."""
        self._rest()
        return TransitionCallbackReturn.SUCCESS

    def _rest(self) -> None:
        """Harmless when called twice."""
        if self._active:
            self._active = False
            self.destroy_timer(self._timer)

    def now_ns(self) -> int:
        """The node's clock."""
        nanoseconds: int = self.get_clock().now().nanoseconds
        return nanoseconds

    def _load(self, path: Path) -> ModelSet:
        models = load_model_set(path, self.settings.providers, allow_fallback=self.settings.allow_fallback)
        wanted = self._wanted_provider
        for modality, provider in models.providers.items():
            if provider != wanted and not self.settings.allow_fallback:
                raise ModelError(
                    f"{modality} would run on {provider}, not on {wanted}; set allow_fallback to accept that"
                )
        provider = self._provider(models)
        log = self.get_logger().info if provider == wanted else self.get_logger().error
        log(f"model {models.card.shown} runs on {provider}" + ("" if provider == wanted else f", not on {wanted}"))
        return models

    def _make_pipeline(self, models: ModelSet) -> EngagementPipeline:
        try:
            return EngagementPipeline(
                models,
                rate_hz=self.settings.rate_hz,
                max_delay_ns=round(self.settings.max_delay_ms * 1_000_000),
                allow_fallback=self.settings.allow_fallback,
            )
        except ValueError as error:
            raise ParameterError(f"parameter 'rate_hz': {error}") from error

    def _listen(self, modality: Modality) -> Any:
        topic = FEATURES[modality]
        return self.create_subscription(topic.type, topic.name, partial(self._on_frame, modality), topic.qos)

    def _on_frame(self, modality: Modality, message: FeatureFrameMessage) -> None:
        if self._active and self._pipeline is not None:
            self._pipeline.accept(frame_from_message(message, modality), self.now_ns())
            self._publish_due()

    def _on_timer(self) -> None:
        """Wake up when the next estimate is due at the latest."""
        self._publish_due()
        assert self._pipeline is not None
        self._timer.timer_period_ns = self._pipeline.stream.schedule.wait_ns(self.now_ns())
        self._timer.reset()  # else the new period counts only from the next call on

    def _publish_due(self) -> None:
        try:
            self._publish_estimates()
        except ModelError as error:
            self._broken = self._broken or f"nothing is estimated: {error}"  # the first reason: it is told once

    def _publish_estimates(self) -> None:
        assert self._pipeline is not None
        begin_ns = perf_counter_ns()
        for estimate in self._pipeline.due_estimates(self.now_ns()):
            compute_ns = perf_counter_ns() - begin_ns
            self._latest = estimate_to_message(estimate, compute_ns, self.now_ns())
            send(self._estimates, self._latest)
            self._rate.tick()
            self._broken = ""
            begin_ns = perf_counter_ns()

    async def _on_reload(self, request: ReloadModel.Request, response: ReloadModel.Response) -> ReloadModel.Response:
        if self._pipeline is None:
            response.success, response.message = False, f"{self.get_name()} is not configured"
            return response
        live = LiveVersion(find_model(request.model or self.settings.model))
        response.success, response.message = await self._take_over(live)
        return response

    async def _on_watch(self) -> None:
        if self._pipeline is not None and self._live.changed():
            await self._take_over(self._live)

    async def _take_over(self, live: LiveVersion) -> tuple[bool, str]:
        """Load a model set and go on with it; whether that went well, and what became of it in one sentence."""
        told = self.settings
        try:
            models = await load_beside(self, partial(self._load, live.path))
        except ModelError as error:
            if told is not self.settings:
                return False, str(error)
            self._refused = str(error)
            message = f"{error}; {self._running()} goes on"
            self.get_logger().error(discreet(message))
            return False, message
        if self._pipeline is None or told is not self.settings:  # it may be another child's by now
            return False, f"{self.get_name()} is not configured any more, or anew"
        self._pipeline.use(models)
        self._live, self._refused = live, ""
        self._announce_model()
        return True, f"{models.card.identity} runs now"

    def _running(self) -> str:
        return self._pipeline.estimator.models.card.shown if self._pipeline is not None else "nothing"

    def _announce_model(self) -> None:
        assert self._pipeline is not None
        models = self._pipeline.estimator.models
        send(self._model_info, model_to_message(models, self._provider(models), self.now_ns()))

    @property
    def _wanted_provider(self) -> str:
        return PROVIDERS[self.settings.providers[0]]

    def _provider(self, models: ModelSet) -> str:
        return ", ".join(sorted(set(models.providers.values())))

    def _heard(self) -> object:
        """Which modalities count, and whether anything can be estimated: what changes is told at once."""
        parts = self._latest.modalities if self._latest is not None else ()
        return self._active, self._broken, [part.status != ModalityEstimate.MISSING for part in parts]

    def _reports(self) -> Iterable[Report]:
        if self._pipeline is None or not self._active:
            return
        pipeline, models = self._pipeline, self._pipeline.estimator.models
        rate = self._rate.read()
        problem = "; ".join(self._problems(pipeline, rate))
        yield Report(
            "estimates",
            Health.ERROR if self._broken else Health.WARN if problem else Health.OK,
            self._broken or problem or "ok",
            {
                "rate (Hz)": f"{rate:.1f}",
                "model": models.card.shown,
                "provider": self._provider(models),
                "provider fallbacks": pipeline.estimator.fallbacks,
                "refused": self._refused,
                "windows skipped": pipeline.stream.schedule.skipped,
                "clock jumps": pipeline.stream.clock_jumps,
                "compute time (ms)": f"{self._latest.compute_time * 1000:.2f}" if self._latest else "",
                "latency (ms)": f"{self._latest.latency * 1000:.1f}" if self._latest else "",
            },
        )
        for modality in pipeline.stream.windows.feature_sets:
            yield self._modality_report(pipeline, modality)

    def _problems(self, pipeline: EngagementPipeline, rate_hz: float) -> Iterator[str]:
        """What is wrong with the estimates."""
        if rate_hz < 0.9 * self.settings.rate_hz:
            yield "estimates come too slowly"
        provider, wanted = self._provider(pipeline.estimator.models), self._wanted_provider
        if pipeline.estimator.fallbacks:
            yield "a GPU failed; running on the CPU"
        elif provider != wanted:
            yield f"running on {provider}, not on {wanted}"
        if self._refused:
            yield "another model set was refused"
        stream = pipeline.stream
        yield from self._jumps.update({SET_BACK: stream.clock_jumps, LEFT_OUT: stream.schedule.skipped})

    def _modality_report(self, pipeline: EngagementPipeline, modality: Modality) -> Report:
        rejected = pipeline.stream.windows.rejected[modality]
        recent = self._rejected[modality].update(rejected)
        heard = self._latest.modalities[MODALITY_CODES[modality]] if self._latest is not None else None
        status = STATUS_NAMES[heard.status] if heard is not None else Status.MISSING
        others = self._other_types(FEATURES[modality])
        good = status is Status.VALID and not recent and not others
        values = {
            "age (ms)": f"{heard.age * 1000:.0f}" if heard is not None and status is not Status.MISSING else "",
            "frames accepted": pipeline.stream.windows.frames_seen[modality],
            "frames rejected": ", ".join(f"{count} {reason}" for reason, count in rejected.items()) or 0,
        }
        message = status.value + (f"; frames rejected: {', '.join(recent)}" if recent else "")
        if others:
            message += f"; somebody publishes {', '.join(others)} there, which nobody hears"
        return Report(modality.value, Health.OK if good else Health.WARN, message, values)

    def _other_types(self, topic: Topic) -> list[str]:
        """What else than its type is published on a topic: ROS keeps the two apart without a word."""
        publishers = self.get_publishers_info_by_topic(self.resolve_topic_name(topic.name))
        return sorted({publisher.topic_type for publisher in publishers} - {topic.type_name})
