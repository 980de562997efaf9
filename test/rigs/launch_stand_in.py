"""The launch file without `launch`, which is not among the wheels: the nodes that it declares, and their commands.

Nothing is started here (`launched` does). Whatever the file imports from `launch` remembers what it was given; the few
substitutions that it uses are done by launch's rules. That they are launch's rules is what a robot has to show.
"""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

MODULES = {"launch": ["actions", "conditions", "events", "events.process", "substitutions"]}
MODULES["launch_ros"] = ["actions", "parameter_descriptions"]


class Entity:
    """An action, handler, event or substitution."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self.args = args
        self.__dict__.update(options)


class StandIn(ModuleType):
    """A module that has whatever class it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (Entity,), {}))
        return self.__dict__[name]


def description_of(path: Path) -> Any:
    """What `generate_launch_description` of a launch file returns."""
    names = [*MODULES, *(f"{package}.{part}" for package, parts in MODULES.items() for part in parts)]
    with patch.dict(sys.modules, {name: StandIn(name) for name in names}):
        return runpy.run_path(str(path))["generate_launch_description"]()


class Launch:
    """What a launch with these arguments starts; `checks` are its functions."""

    def __init__(self, path: Path, arguments: Mapping[str, str]) -> None:
        entities = description_of(path).args[0]
        declared = {e.args[0]: e.default_value for e in entities if _is(e, "DeclareLaunchArgument")}
        self._arguments = declared | dict(arguments)
        wanted = [entity for entity in entities if _is(entity, "Node") and self._is_wanted(entity.condition)]
        self.nodes: dict[str, Any] = {node.executable: node for node in wanted}
        set_here = [entity.args for entity in entities if _is(entity, "SetEnvironmentVariable")]
        self.environment = {name: self._text(value) for name, value in set_here}
        self.checks = [entity.function for entity in entities if _is(entity, "OpaqueFunction")]

    def command(self, executable: str) -> list[str]:
        """How the process of a node is started."""
        node = self.nodes[executable]
        file, parameters = node.parameters
        command = [str(Path(sys.executable).parent / executable), "--ros-args"]
        command += ["-r", f"__node:={node.name}", "-r", f"__ns:=/{self._text(node.namespace)}", "--params-file", file]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={self._value(value)}"]
        return command

    def _is_wanted(self, condition: Any) -> bool:
        if condition is None:
            return True
        argument, unwanted = condition.args  # LaunchConfigurationNotEquals
        return self._arguments[argument] != unwanted

    def _value(self, value: Any) -> str:
        """A parameter as YAML: what is not said to be text is whatever it looks like."""
        if _is(value, "ParameterValue"):
            return json.dumps(value.value_type(self._text(value.args[0])))
        if isinstance(value, list):
            return json.dumps([self._text(part) for part in value])
        return self._text(value)

    def _text(self, value: Any) -> str:
        if isinstance(value, list):
            return "".join(map(self._text, value))
        if _is(value, "LaunchConfiguration"):
            return self._arguments[value.args[0]]
        if _is(value, "PythonExpression"):
            return str(eval(self._text(list(value.args[0]))))
        return str(value)


def _is(entity: Any, kind: str) -> bool:
    return type(entity).__name__ == kind
