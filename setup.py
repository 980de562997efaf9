"""Installs the package: with colcon in a ROS 2 workspace, or with pip where there is no ROS (README.md)."""

import os
from glob import glob

from setuptools import find_packages, setup

PACKAGE = "mmal_ros"
NODES = ["camera_node", "microphone_node", "e4_node", "engagement_node", "selector_node", "recorder_node"]
ROS_WHEELS = [
    "ros-rclpy[fastrtps]==7.1.6",
    "ros-std-msgs==5.3.6",
    "ros-sensor-msgs==5.3.6",
    "ros-diagnostic-msgs==5.3.6",
    "ros-std-srvs==5.3.6",
    "ros-lifecycle-msgs==2.0.3",
]
"""ROS 2 Jazzy from the package index, for machines without a ROS installation."""
SYNTHETIC = ["scikit-image>=0.24", "neurokit2>=0.2.10"]
TRAIN = [
    "torch==2.13.0",
    "onnx>=1.17",
    "scikit-learn>=1.5",
    "skl2onnx>=1.17",  # a person's own trees become ONNX
    "scikit-activeml>=0.6.2,<1",  # published selectors, to compare with
    "joblib>=1.4",
    "pyarrow<25",  # Parquet; with numpy<2 a later one breaks `import opensmile`
    "matplotlib>=3.8",
    "tensorboard>=2.16",
    "PyYAML>=6",
]
CLUSTER = ["ray>=2.40"]
SESSION = [
    "mcap>=1.6",  # the bag: the format of ROS 2, Foxglove and rosbags
    "zstandard>=0.22",
    "SQLAlchemy>=2.0",
    "av>=12",
    "krippendorff>=0.8",  # alpha of several coders
    "pympi-ling>=1.70",  # ELAN
]
REVIEW = ["fastapi>=0.110", "uvicorn>=0.29", "Jinja2>=3.1"]


def share_files() -> list[tuple[str, list[str]]]:
    """Models, configuration and launch files, folder by folder, into share/mmal_ros."""
    files = {"": ["package.xml"], "launch": glob("launch/*.py"), "config": glob("config/*.yaml")}
    for folder, _, names in os.walk("models"):
        files[folder] = [os.path.join(folder, name) for name in names]
    return [(os.path.join("share", PACKAGE, folder), names) for folder, names in files.items() if names]


setup(
    name=PACKAGE,
    version="0.1.0",
    description="Live engagement of a child with a robot, from camera, microphone and wristband",
    maintainer="mmal_ros maintainers",
    maintainer_email="maintainers@mmal-ros.org",
    license="Apache-2.0",
    packages=find_packages(include=[PACKAGE, f"{PACKAGE}.*"]),
    package_data={f"{PACKAGE}.review": ["static/*", "static/*/*", "templates/*"]},
    python_requires=">=3.11,<3.13",
    zip_safe=False,
    install_requires=[
        "numpy<2",  # mediapipe needs it
        "scipy>=1.15",  # constraints.txt: 1.15, for scipy.signal of 1.17 takes half as long again to import
        "onnxruntime-gpu>=1.20; platform_machine == 'x86_64'",  # also runs where there is no GPU
        "onnxruntime>=1.20; platform_machine != 'x86_64'",
        "pydantic>=2.6",
        "pandas>=2.1",
        "typer>=0.12",
        "rich>=13",
    ],
    extras_require={
        "robot": [
            "mediapipe==0.10.21",  # later wheels come without the models of face and pose; brings OpenCV
            "PyAudio==0.2.14",
            "av>=12",
            "bleak>=1.0",
            "opensmile==2.6.0",
            "pyarrow<25",  # with numpy<2 a later one breaks `import opensmile`
        ],
        "synthetic": SYNTHETIC,
        "ros": ROS_WHEELS,
        "session": SESSION,
        "review": REVIEW,
        "train": TRAIN,
        "cluster": CLUSTER,
        "test": [
            *TRAIN,
            *CLUSTER,
            *SYNTHETIC,
            *SESSION,
            *REVIEW,
            "bumble==0.0.236",
            "cryptography>=42",  # a certificate for the page under TLS
            "httpx>=0.27",  # FastAPI's test client
            "hypothesis>=6",
            "jsonschema>=4",
            "mypy>=1.11",
            "playwright>=1.40",  # drives Debian's Chromium
            "psutil>=5",
            "pytest<9",  # launch_testing's plugin
            "pytest-timeout>=2",
            "pytest-xdist>=3",  # tests wait more than they compute: three at a time
            "rosbags>=0.10",  # reads our bags as others would
            "ruff>=0.6",
            "schemathesis>=4",  # asks every route what its description allows, and what it does not
        ],
    },
    data_files=[("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]), *share_files()],
    entry_points={
        "console_scripts": [
            "mmal = mmal_ros.cli.main:main",
            *(f"{node} = mmal_ros.nodes.main:{node}" for node in NODES),
        ]
    },
)
