"""ROS 2 nodes: the only place that imports rclpy.

The law: a node reads parameters, makes topics, converts messages and calls the core. It decides nothing that could
be decided without ROS; a file that grows is a sign that something belongs below.
"""
