"""Whether a value can be that of a parameter, and what would be right."""

from __future__ import annotations

from dataclasses import MISSING, Field
from typing import Any

from mmal_ros.wording import meant

EXPECTED = {
    str: "text; what looks like something else needs quotes, as in \"'17'\"",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    list: "a list of texts, as in [cpu]",
}


class ParameterError(ValueError):
    """A parameter has a value that cannot be used; the message says which would be right."""


def default_of(item: Field[Any]) -> Any:
    """The default of a field, fresh for each caller."""
    return item.default_factory() if item.default_factory is not MISSING else item.default


def checked(item: Field[Any], value: Any) -> Any:
    """The value in the type of the field; a whole number is good enough for a float. Raises ParameterError."""
    kind = type(default_of(item))
    if kind is float and type(value) is int:
        value = float(value)
    texts = kind is not list or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    if type(value) is not kind or not texts:
        raise ParameterError(f"parameter '{item.name}' is {value!r}; expected {EXPECTED[kind]}")
    _check_range(item, value)
    _check_choices(item, value if kind is list else [value])
    return value


def _check_range(item: Field[Any], value: Any) -> None:
    low, high = item.metadata["range"]
    if low is not None and not low <= value <= high:  # not a number is not in any range
        unit = f" {item.metadata['unit']}".rstrip()
        raise ParameterError(f"parameter '{item.name}' is {value}; expected {low} to {high}{unit}")


def _check_choices(item: Field[Any], values: list[Any]) -> None:
    choices = item.metadata["choices"]
    for value in values if choices else ():
        if value not in choices:
            near = meant(value, choices)
            hint = f"{near} possible" if near else "possible"
            raise ParameterError(f"parameter '{item.name}' is {value!r}; {hint}: {', '.join(choices)}")
