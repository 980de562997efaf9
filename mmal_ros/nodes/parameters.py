"""Parameters as data classes: declared with descriptors, read as one checked object, listed for the README."""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

P = TypeVar("P")


class ParameterError(ValueError):
    """A parameter has a value that cannot be used; the message says which would be right."""


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of a parameter class. A list's `choices` are those of its elements."""
    metadata = {"description": description, "unit": unit, "range": (minimum, maximum), "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def declare(node: Node, parameters: type[Any]) -> None:
    """Declare every field as a parameter of the node; ROS refuses values out of range."""
    for item in fields(parameters):
        node.declare_parameter(item.name, default_of(item), _descriptor(item))


def read(node: Node, parameters: type[P]) -> P:
    """The parameters as they are now; raises ParameterError."""
    values = {item.name: node.get_parameter(item.name).value for item in fields(parameters)}  # type: ignore[arg-type]
    for item in fields(parameters):  # type: ignore[arg-type]
        choices = item.metadata["choices"]
        given = values[item.name] if isinstance(values[item.name], list) else [values[item.name]]
        wrong = [value for value in given if choices and value not in choices]
        if wrong:
            raise ParameterError(f"parameter '{item.name}' is {wrong[0]!r}; possible: {', '.join(choices)}")
    return parameters(**values)


def default_of(item: Field[Any]) -> Any:
    """The default of a field, fresh for each caller."""
    return item.default_factory() if item.default_factory is not MISSING else item.default


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
