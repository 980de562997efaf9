"""A child's data stay on the computer: every part that opens ROS by itself says so first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

OPENERS = {
    "graph": "from mmal_ros.nodes.graph import Graph, GraphSettings as S\n"
    "with Graph(S(sources={}), lambda message: None): tell()",
    "live page": "from mmal_ros.nodes.live_feed import graph_feed\nwith graph_feed('/mmal'): tell()",
}
TELL = "import os\ndef tell(): print('range:', os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE'))\n"


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(("given", "used"), [(None, "LOCALHOST"), ("SUBNET", "SUBNET")])
def test_topics_stay_here_unless_somebody_says_otherwise(opener, given, used):
    environment = {name: value for name, value in os.environ.items() if name != "ROS_AUTOMATIC_DISCOVERY_RANGE"}
    environment |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": given} if given else {}
    command = [sys.executable, "-c", TELL + OPENERS[opener]]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert f"range: {used}" in run.stdout


def test_nobody_else_opens_ros_for_the_whole_network():
    import mmal_ros.nodes as nodes

    folder = os.path.dirname(nodes.__file__)
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name)) as file:
                text = file.read()
            assert text.count("    start_ros(") == text.count("    stay_on_this_computer()"), name
            assert "rclpy.init(" not in text or name == "discovery.py", name
