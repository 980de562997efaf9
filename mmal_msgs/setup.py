"""Builds the interface package into a pip wheel, for machines without a ROS installation.

colcon reads package.xml and CMakeLists.txt and never this file. Here CMake runs against the generators that
pyproject.toml pins as wheels, and what it installs becomes the wheel: Python modules into site-packages, libraries
and interface files into the environment's `lib/` and `share/`, where rclpy looks for them.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

HERE = Path(__file__).parent.resolve()

# The generators' wheels export include folders that exist only where they were built; CMake stops at the first one.
DROP_MISSING_INCLUDES = r"""
function(drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes)
      set(existing "")
      foreach(folder IN LISTS includes)
        if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
          list(APPEND existing "${folder}")
        endif()
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${existing}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL drop_missing_includes)
"""


def ament_prefixes() -> list[str]:
    """Prefixes that hold ament's CMake files: those of the environment, and those of the build's own wheels."""
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    for folder in [*sys.path, sysconfig.get_path("platlib")]:
        for parent in list(Path(folder).parents)[:4]:
            if (parent / "share/ament_cmake_core/cmake").is_dir() and str(parent) not in prefixes:
                prefixes.append(str(parent))
    return prefixes


class BuildInterfaces(build):
    """Runs CMake, then files what it installed into the wheel."""

    def run(self) -> None:
        """Build into a temporary folder; nothing is left in the source tree."""
        self._keep = tempfile.TemporaryDirectory(prefix="mmal_msgs")  # until the wheel is packed
        scratch = Path(self._keep.name)
        self._cmake(scratch)
        self._collect(scratch / "install")

    def _cmake(self, scratch: Path) -> None:
        (scratch / "fix.cmake").write_text(DROP_MISSING_INCLUDES)
        prefixes = os.pathsep.join(ament_prefixes())
        environment = {**os.environ, "AMENT_PREFIX_PATH": prefixes, "CMAKE_PREFIX_PATH": prefixes}
        configure = [
            "cmake", "-S", str(HERE), "-B", str(scratch / "build"), "-G", "Ninja",
            "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF",
            f"-DCMAKE_INSTALL_PREFIX={scratch / 'install'}",
            f"-DPython3_EXECUTABLE={sys.executable}", f"-DPYTHON_EXECUTABLE={sys.executable}",
            "-DPython3_FIND_STRATEGY=LOCATION", "-DCMAKE_INSTALL_RPATH=$ORIGIN;$ORIGIN/../../..",
            f"-DCMAKE_PROJECT_INCLUDE={scratch / 'fix.cmake'}",
        ]  # fmt: skip
        subprocess.check_call(configure, env=environment)
        subprocess.check_call(["cmake", "--build", str(scratch / "build"), "--target", "install"], env=environment)

    def _collect(self, installed: Path) -> None:
        library = Path(self.build_lib).resolve()
        data_files = self.distribution.data_files = self.distribution.data_files or []
        for path in sorted(p for p in installed.rglob("*") if p.is_file() and p.suffix != ".pyc"):
            relative = path.relative_to(installed)
            site = next((i for i, part in enumerate(relative.parts) if part.endswith("-packages")), None)
            if site is None:
                data_files.append((str(relative.parent), [str(path)]))
            elif not any(part.endswith(".egg-info") for part in relative.parts):
                target = library.joinpath(*relative.parts[site + 1 :])
                target.parent.mkdir(parents=True, exist_ok=True)
                self.copy_file(str(path), str(target))


class PlatformWheel(bdist_wheel):
    """A wheel for this platform: it holds compiled libraries."""

    def finalize_options(self) -> None:
        """Mark the wheel as not pure Python."""
        super().finalize_options()
        self.root_is_pure = False


class BinaryDistribution(Distribution):
    """Tells setuptools that there are extensions, though CMake builds them."""

    def has_ext_modules(self) -> bool:
        """Yes."""
        return True


setup(
    name="mmal-msgs",
    version="0.1.0",
    description="Messages and services of mmal_ros",
    license="Apache-2.0",
    packages=[],
    py_modules=[],
    data_files=[],
    cmdclass={"build": BuildInterfaces, "bdist_wheel": PlatformWheel},
    distclass=BinaryDistribution,
    install_requires=[
        "numpy",
        "ros-std-msgs~=5.3.6",
        "ros-service-msgs~=2.0.3",
        "ros-rosidl-default-runtime~=1.6.0",
    ],
)
