"""Parameters as data classes: declared with descriptors, checked whenever they are given, listed for the README."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from functools import partial
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import ParameterNotDeclaredException
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter

from mmal_ros.nodes.parameter_checks import ParameterError, checked, default_of
from mmal_ros.wording import unknown

__all__ = ["ParameterError", "declare", "default_of", "parameter", "read"]
P = TypeVar("P")
Items = Mapping[str, Field[Any]]
OF_ROS = "qos_overrides."
"""Parameters with this prefix are declared by rclpy with the topic that they are about."""


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    until_active: bool = False,
) -> Any:
    """A field of a parameter class. A list's `choices` are those of its elements.

    It is read when the node is configured, one that is `until_active` when the node is activated; after that it cannot
    be changed, for nobody would notice.
    """
    metadata = {
        "description": description,
        "unit": unit,
        "range": (minimum, maximum),
        "choices": choices,
        "until_active": until_active,
    }
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class NodeParameters:
    """What every node can be told."""

    activates_itself: bool = parameter(
        False, "configure and activate without being asked, as soon as there are estimates; for whoever launches nodes"
    )


def declare(node: LifecycleNode, parameters: type[Any]) -> None:
    """Declare every field as a parameter of the node, and look at what it is given, now and later.

    Raises:
        ParameterError: there is no such parameter, or its value is of the wrong type or out of range; there is no node
            then.
    """
    items = {item.name: item for item in fields(parameters)}
    try:
        _check_given(node, items)
        for item in items.values():
            node.declare_parameter(item.name, default_of(item), _descriptor(item))
    except ParameterError:
        node.destroy_node()
        raise
    node.add_pre_set_parameters_callback(partial(_known, node, items))
    node.add_on_set_parameters_callback(partial(_allowed, node, items))


def read(node: LifecycleNode, parameters: type[P]) -> P:
    """The parameters as they are now."""
    return parameters(**{item.name: node.get_parameter(item.name).value for item in fields(parameters)})  # type: ignore[arg-type]


def _check_given(node: LifecycleNode, items: Items) -> None:
    """What came from the command line, files and the constructor: rclpy ignores what nobody declares."""
    given = node._parameter_overrides  # there is no public way to it
    for name, value in given.items():
        if name in items:
            given[name] = _converted(items[name], value)
        elif not (node.has_parameter(name) or name.startswith(OF_ROS)):
            raise ParameterError(unknown(f"parameter of {node.get_name()}", name, items))


def _known(node: LifecycleNode, items: Items, given: list[Parameter]) -> list[Parameter]:
    """Before anything is set: whether there is such a parameter; a whole number becomes a float where one is wanted."""
    for one in given:
        if not node.has_parameter(one.name):
            raise _NoSuchParameter(unknown(f"parameter of {node.get_name()}", one.name, items))
    return [_float_of(items[one.name], one) if one.name in items else one for one in given]


def _allowed(node: LifecycleNode, items: Items, given: list[Parameter]) -> SetParametersResult:
    """Whether values are right, and somebody will still read them."""
    try:
        for one in given:
            if one.name in items:
                checked(items[one.name], one.value)
                _check_state(node, items[one.name])
    except ParameterError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _check_state(node: LifecycleNode, item: Field[Any]) -> None:
    _, state = node._state_machine.current_state  # the public way is a service
    if state == "unconfigured" or (state == "inactive" and item.metadata["until_active"]):
        return
    steps = "`deactivate` and `cleanup`" if state == "active" else "`cleanup`"
    raise ParameterError(
        f"parameter '{item.name}' is read as {node.get_name()} is configured, and it is {state}; "
        f"do {steps} with `ros2 lifecycle set {node.get_fully_qualified_name()}` first"
    )


class _NoSuchParameter(ParameterNotDeclaredException):  # type: ignore[misc]
    """With a sentence: its text is what `ros2 param set` shows."""

    def __init__(self, sentence: str) -> None:
        Exception.__init__(self, sentence)


def _converted(item: Field[Any], given: Parameter) -> Parameter:
    return Parameter(item.name, value=checked(item, given.value))


def _float_of(item: Field[Any], given: Parameter) -> Parameter:
    whole = isinstance(default_of(item), float) and given.type_ is Parameter.Type.INTEGER
    return Parameter(item.name, value=float(given.value)) if whole else given


def _descriptor(item: Field[Any]) -> ParameterDescriptor:
    unit, choices = item.metadata["unit"], item.metadata["choices"]
    descriptor = ParameterDescriptor(description=item.metadata["description"] + (f" [{unit}]" if unit else ""))
    if choices:
        descriptor.additional_constraints = "one of " + ", ".join(choices)
    low, high = item.metadata["range"]
    if low is not None and isinstance(default_of(item), int):
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    elif low is not None:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    return descriptor
