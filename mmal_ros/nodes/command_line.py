"""What a node's executable was started with, looked at before ROS does, which says it in its own words or never."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from rclpy.utilities import remove_ros_args

from mmal_ros.wording import why

FILE_FLAG = "--params-file"
PARAMETER_RULE, REMAP_RULE = "-p rate_hz:=5.0", "-r __ns:=/mmal"
RULES = {"-p": PARAMETER_RULE, "--param": PARAMETER_RULE, "-r": REMAP_RULE, "--remap": REMAP_RULE}
PARAMETERS = "ros__parameters"
EXAMPLE = f"/**: {{{PARAMETERS}: {{name: value}}}}"
NOWHERE = ""


class CommandLineError(ValueError):
    """Arguments or files that cannot be used; the message says what would be right."""


def check_arguments(arguments: Sequence[str]) -> None:
    """Whether ROS will take all of them; raises CommandLineError, and RuntimeError as ROS does."""
    for flag, rule in pairwise([*arguments, ""]):
        if flag in RULES and ":=" not in rule:
            raise CommandLineError(f"'{flag} {rule}' says nothing; it goes like this: {RULES[flag]}")
    for path in _parameter_files(arguments):
        _nodes_in(path)
    foreign = remove_ros_args(list(arguments))[1:]
    if foreign:
        raise CommandLineError(f"what is '{' '.join(foreign)}'? it goes like this: --ros-args {PARAMETER_RULE}")


def files_for_others(arguments: Sequence[str], node: str) -> Iterator[str]:
    """One sentence for each parameter file that has nothing for this node, `/mmal/camera_node` for example.

    That is no error, since one file may be for many nodes; but its keys may be misspelt, or lack the namespace.
    """
    for path in _parameter_files(arguments):
        names = _nodes_in(path)
        if not any(fnmatchcase(node, name.replace("**", "*")) for name in names):
            yield f"{path} has nothing for {node}; it is for {', '.join(names) or 'nobody'}"


def _parameter_files(arguments: Sequence[str]) -> list[Path]:
    return [Path(after) for flag, after in pairwise(arguments) if flag == FILE_FLAG]


def _nodes_in(path: Path) -> list[str]:
    names = list(_addressed(_content(path)))
    if NOWHERE in names:
        raise CommandLineError(f"{path} has a value outside of {PARAMETERS}; a parameter file looks so: {EXAMPLE}")
    return names


def _content(path: Path) -> Any:
    if not path.is_file():  # a pipe would never end
        raise CommandLineError(f"the parameter file {path} is not there, or is no file")
    try:
        return yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise CommandLineError(f"the parameter file {path} cannot be read: {why(error)}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise CommandLineError(f"the parameter file {path} is no YAML; {line}{error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandLineError(f"the parameter file {path} is no text") from error


def _addressed(content: Any, above: str = "") -> Iterator[str]:
    """Names of the nodes, with their namespaces, that a file has parameters for."""
    if not isinstance(content, dict):
        yield NOWHERE
        return
    for name, inner in content.items():
        full = f"{above}/{str(name).strip('/')}"
        if isinstance(inner, dict) and PARAMETERS in inner:
            yield full
        else:
            yield from _addressed(inner, full)
