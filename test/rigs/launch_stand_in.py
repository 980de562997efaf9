"""The launch file without `launch`, which is not among the wheels: what it declares, and its order of events.

Nothing is started here. Whatever the file imports from `launch` remembers what it was given; `Played` goes by launch's
rules for the few things that the file uses. That they are launch's rules is what a robot has to show.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

MODULES = {"launch": ["actions", "conditions", "event_handlers", "events", "events.process", "substitutions"]}
MODULES["launch_ros"] = ["actions", "event_handlers", "events", "events.lifecycle", "parameter_descriptions"]


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


class Played:
    """A launch of which we say what happens; `asked` is what it asks the nodes for, (executable, transition).

    `checks` are its functions.
    """

    def __init__(self, description: Any, arguments: Mapping[str, str]) -> None:
        self.nodes: dict[str, Any] = {}
        self.asked: list[tuple[str, int]] = []
        self.checks: list[Any] = []
        self._arguments = arguments
        self._handlers: list[Any] = []
        for entity in description.args[0]:
            self._do(entity)
        for executable in list(self.nodes):
            self.starts(executable)

    def starts(self, executable: str) -> None:
        """The process of a node starts, for the first time or again."""
        node = self.nodes[executable]
        for handler in tuple(self._handlers):
            if getattr(handler, "target_action", None) is node:
                for entity in handler.on_start:
                    self._do(entity)

    def arrives(self, executable: str, before: str, state: str) -> None:
        """A node says that it came from one state into another."""
        wanted = (self.nodes[executable], before, state)
        for handler in tuple(self._handlers):
            target = getattr(handler, "target_lifecycle_node", None)
            if target is not None and (target, handler.start_state, handler.goal_state) == wanted:
                if getattr(handler, "handle_once", False):
                    self._handlers.remove(handler)
                for entity in handler.entities:
                    self._do(entity)

    def _do(self, entity: Any) -> None:
        kind = type(entity).__name__
        if kind == "RegisterEventHandler":
            self._handlers.append(*entity.args)
        elif kind == "OpaqueFunction":
            self.checks.append(entity.function)
        elif kind == "LifecycleNode" and self._is_wanted(entity.condition):
            self.nodes[entity.executable] = entity
        elif kind == "EmitEvent":
            (node,) = entity.event.lifecycle_node_matcher.args
            if node in self.nodes.values():
                self.asked.append((node.executable, entity.event.transition_id))

    def _is_wanted(self, condition: Any) -> bool:
        if condition is None:
            return True
        argument, unwanted = condition.args  # LaunchConfigurationNotEquals
        return self._arguments[argument] != unwanted
