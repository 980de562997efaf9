"""Somebody misspells a parameter, gives it nonsense, or changes it when nobody reads it any more."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from mmal_ros.nodes.command_line import CommandLineError, check_arguments, files_for_others
from mmal_ros.nodes.discovery import RosError, start_ros
from mmal_ros.nodes.parameters import ParameterError, default_of, read
from rigs.model_sets import put_on_a_failing_disk
from rigs.ros import NAMESPACE

NODES = {
    "camera_node": "CameraNode CameraParameters",
    "microphone_node": "MicrophoneNode MicrophoneParameters",
    "e4_node": "E4Node E4Parameters",
    "engagement_node": "EngagementNode EngagementParameters",
    "selector_node": "SelectorNode SelectorParameters",
    "recorder_node": "RecorderNode RecorderParameters",
}
USAGE_ERROR = 2


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    yield
    rclpy.try_shutdown()


def made(name: str, **given: Any) -> Any:
    module = importlib.import_module(f"mmal_ros.nodes.{name}")
    overrides = [Parameter(key, value=value) for key, value in given.items()]
    return getattr(module, NODES[name].split()[0])(namespace=NAMESPACE, parameter_overrides=overrides)


def parameters_of(name: str) -> Any:
    module = "recorder_parameters" if name == "recorder_node" else name
    return getattr(importlib.import_module(f"mmal_ros.nodes.{module}"), NODES[name].split()[1])


def impossible(item: Any) -> Iterator[Any]:
    """Values that a field cannot have: of another type, beyond its range, not one of its choices."""
    yield {str: 17, bool: "maybe", int: 0.5, float: "fast", list: "cpu"}[type(default_of(item))]
    low, high = item.metadata["range"]
    if low is not None:
        yield low - 1
    if low is not None and high < 2**62:
        yield high + 1
    if isinstance(low, float):
        yield float("nan")
    if item.metadata["choices"]:
        yield ["nonsense"] if isinstance(default_of(item), list) else "nonsense"


@pytest.mark.parametrize("name", NODES)
def test_no_parameter_takes_an_impossible_value_and_the_reason_names_it(ros, name):
    """At the start, from wherever it comes, and later: each of all parameters of all nodes."""
    node = made(name)
    try:
        for item in fields(parameters_of(name)):
            for value in impossible(item):
                with pytest.raises(ParameterError, match=item.name):
                    made(name, **{item.name: value})
                (result,) = node.set_parameters([Parameter(item.name, value=value)])
                assert not result.successful, (item.name, value)
                assert item.name in result.reason or "type" in result.reason, result.reason
        assert read(node, parameters_of(name)) == parameters_of(name)()
    finally:
        node.destroy_node()


@pytest.mark.parametrize("name", NODES)
def test_a_misspelt_parameter_is_not_ignored(ros, name):
    for item in fields(parameters_of(name)):
        with pytest.raises(ParameterError, match=f"did you mean '{item.name}'"):
            made(name, **{item.name + "s": default_of(item)})


def test_a_misspelt_parameter_of_a_running_node_is_a_sentence_too(ros):
    node = made("engagement_node")
    with pytest.raises(rclpy.exceptions.ParameterNotDeclaredException) as refused:
        node.set_parameters([Parameter("rate_hs", value=5.0)])
    assert str(refused.value) == "there is no parameter of engagement_node 'rate_hs'; did you mean 'rate_hz'?"
    node.destroy_node()


def test_a_whole_number_is_good_enough_for_a_fraction(ros):
    node = made("engagement_node", rate_hz=20)
    assert node.get_parameter("rate_hz").value == 20.0
    (result,) = node.set_parameters([Parameter("rate_hz", value=5)])
    assert result.successful
    assert read(node, parameters_of("engagement_node")).rate_hz == 5.0
    node.destroy_node()


def test_what_nobody_would_read_any_more_cannot_be_set(ros):
    """A change after configuration would be taken and change nothing; when recordings begin may come later."""
    node = made("e4_node", source="none")

    def answer(name: str, value: Any) -> str:
        (result,) = node.set_parameters([Parameter(name, value=value)])
        assert result.successful is not bool(result.reason)
        return str(result.reason)

    assert answer("source", "synthetic") == ""
    assert answer("source", "none") == ""
    node.trigger_configure()
    assert "do `cleanup` with `ros2 lifecycle set /mmal/e4_node` first" in answer("source", "synthetic")
    assert answer("recording_start_ns", 5) == ""
    node.trigger_activate()
    assert "do `deactivate` and `cleanup`" in answer("recording_start_ns", 6)
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert answer("source", "synthetic") == ""
    node.destroy_node()


GOOD = "/**:\n  ros__parameters:\n    rate_hz: 5.0\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("/**:\n  ros__parameters:\n    rate_hz: [1\n", "is no YAML; line 4"),
        ("rate_hz: 5.0\n", "has a value outside of ros__parameters"),
        ("just text", "has a value outside of ros__parameters"),
        (b"\xff\xfe\x00\x80", "is no text"),
    ],
)
def test_a_broken_parameter_file_is_named(tmp_path, content, sentence):
    path = tmp_path / "some.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CommandLineError, match=rf"some\.yaml .*{sentence}"):
        check_arguments(["engagement_node", "--ros-args", "--params-file", str(path)])


def test_a_parameter_file_that_is_no_file_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("pipe", "dangling", "nowhere", "."):
        with pytest.raises(CommandLineError, match="is not there, or is no file"):
            check_arguments(["engagement_node", "--ros-args", "--params-file", str(tmp_path / name)])


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ("/**", False),
        ("/mmal/engagement_node", False),
        ("/mmal: {engagement_node", False),
        ("engagement_node", True),
        ("/mmal/engagment_node", True),
    ],
)
def test_a_parameter_file_for_another_node_is_said_to_be_one(tmp_path, names, told):
    """Its keys are ROS's: without the namespace a name means another node, which surprises everybody once."""
    path = tmp_path / "some.yaml"
    path.write_text(f"{names}: {{ros__parameters: {{rate_hz: 5.0}}}}" + "}" * names.count("{"))
    arguments = ["engagement_node", "--ros-args", "--params-file", str(path)]
    check_arguments(arguments)
    assert bool(list(files_for_others(arguments, "/mmal/engagement_node"))) is told


@pytest.mark.parametrize("domain", ["abc", "-1", "233", "1.5"])
def test_a_domain_that_cannot_be_is_refused_before_dds_ends_the_process(monkeypatch, domain):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    with pytest.raises(RosError, match="expected 0 to 232"):
        start_ros(rclpy.Context())


def program(executable: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / executable), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def refused(run: subprocess.CompletedProcess[str]) -> str:
    """That it was, as it should be; the sentence."""
    fatal = [line for line in run.stderr.splitlines() if "[FATAL]" in line]
    assert (run.returncode, len(fatal), run.stdout) == (USAGE_ERROR, 1, ""), run.stderr
    assert "Traceback" not in run.stderr
    return fatal[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ros-args", "-p", "rate_hs:=5.0"], "did you mean 'rate_hz'?"),
        (["--ros-args", "-p", "use_sim_time:=maybe"], "expecting type 'BOOL'"),
        (["--ros-args", "-p", "rate_hz"], "it goes like this: -p rate_hz:=5.0"),
        (["rate_hz:=5.0"], "it goes like this: --ros-args -p rate_hz:=5.0"),
        (["--ros-args", "-r", "__node:=a-b"], "Couldn't parse remap rule"),
    ],
)
def test_the_program_ends_with_one_sentence_and_exit_code_2(arguments, sentence):
    assert sentence in refused(program("engagement_node", *arguments))


def test_a_parameter_file_that_the_disk_does_not_give_ends_it_too(tmp_path):
    path = tmp_path / "some.yaml"
    path.write_text(GOOD)
    put_on_a_failing_disk(path)
    said = refused(program("engagement_node", "--ros-args", "--params-file", str(path)))
    assert f"the parameter file {path} cannot be read: Input/output error; look at its disk" in said


@pytest.mark.parametrize(
    ("executable", "parameter", "sentence"),
    [
        ("engagement_node", "rate_hz:=3.0", "parameter 'rate_hz': a rate of 3.0 estimates/s does not fit"),
        ("e4_node", "source:=blue:E4", "did you mean ble:NAME-or-ADDRESS"),
        ("recorder_node", "participant:=Anna", "has no digit, and may be a name"),
    ],
)
def test_what_turns_out_to_be_wrong_as_a_launched_node_configures_itself_ends_it_too(executable, parameter, sentence):
    run = program(executable, "--ros-args", "-p", parameter, "-p", "activates_itself:=true")
    said = [line for line in run.stderr.splitlines() if "[ERROR]" in line or "[FATAL]" in line]
    assert (run.returncode, len(said), run.stdout) == (USAGE_ERROR, 1, ""), run.stderr
    assert sentence in said[0]
    assert "Traceback" not in run.stderr


def test_a_node_that_is_told_to_stop_while_it_starts_says_nothing():
    """Launch stops all nodes when one of them ends it: those that are still loading have nothing to complain of."""
    for delay_s in (0.6, 1.2):
        command = [str(Path(sys.executable).parent / "camera_node")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert "Traceback" not in said
        assert process.returncode in (0, -signal.SIGTERM)
