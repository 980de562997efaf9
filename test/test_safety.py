"""Nothing that comes from elsewhere is ever run as code, and no file, however it was made, takes all of the memory.

The first part reads our code, as `test_architecture.py` does. The second gives hostile files to whoever opens files of
that kind.
"""

from __future__ import annotations

import ast
import io
import re
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from mmal_ros.features.importers.errors import FeatureFileError
from mmal_ros.features.importers.openpose_files import json_names, read_json
from mmal_ros.features.recording import RecordingError, read_recording
from mmal_ros.npz import NpzError, read_npz
from mmal_ros.sensors.e4_archive import read_export
from mmal_ros.sensors.source import SourceError
from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.importing import read_coding
from mmal_ros.training.checkpoints import CheckpointError, read_checkpoint
from mmal_ros.training.data.arrays import read_arrays
from mmal_ros.training.data.errors import DataError
from mmal_ros.training.data.table_layout import read_layout

ROOT = Path(__file__).resolve().parent.parent
CODE = ("mmal_ros", "launch", "benchmarks", "setup.py")

RUNS_WHAT_IT_READS = {
    *("eval", "exec", "compile", "__import__", "breakpoint", "input"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("asyncio.create_subprocess_shell", "create_subprocess_shell"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
    *("pd.read_pickle", "pandas.read_pickle", "joblib.load", "np.fromregex"),
    *("tempfile.mktemp", "mktemp", "archive.extract"),
}
"""Calls that run, or can be made to run, what somebody else wrote. `.eval()` of a network is another thing."""
MUST_SAY = {
    "np.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
    "torch.load": ("weights_only", True),
}
"""Calls that are safe with this argument, which has to stand there, whatever the default is today."""
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "code", "imp", "xmlrpc", "telnetlib"}
UNPACKS_TO_DISK = {"extractall", "unpack_archive"}
XML = {"xml.etree", "xml.dom", "xml.sax", "lxml", "xml.etree.ElementTree"}
"""Parsers that expand entities; ELAN's files go through `exchange/eaf.py`, which refuses those that declare any."""


def sources(root: Path = ROOT) -> Iterator[Path]:
    for name in CODE:
        yield from sorted((root / name).rglob("*.py")) if (root / name).is_dir() else [root / name]


def complaints(text: str) -> list[str]:
    """What of a file is not to be done, one line each."""
    return [f"{node.lineno}: {wrong}" for node in ast.walk(ast.parse(text)) for wrong in _wrong(node)]


def _wrong(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _wrong_import(node)
    elif isinstance(node, ast.Call):
        yield from _wrong_call(node)


def _wrong_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    module = getattr(node, "module", None) or ""
    names = [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
    for name in names:
        if name.partition(".")[0] in UNSAFE_MODULES or name in XML:
            yield f"imports {name}"
            return


def _wrong_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func)
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in RUNS_WHAT_IT_READS or name.rpartition(".")[2] in UNPACKS_TO_DISK:
        yield f"calls {name}"
    if name in MUST_SAY:
        argument, value = MUST_SAY[name]
        said = given.get(argument)
        if not (isinstance(said, ast.Constant) and said.value is value):
            yield f"{name} without {argument}={value}"
    if "shell" in given and not (isinstance(given["shell"], ast.Constant) and given["shell"].value is False):
        yield f"{name} with a shell"


def test_our_code_runs_nothing_that_it_reads() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{complaint}" for path in sources() for complaint in complaints(path.read_text())
    }
    assert found == set()
    assert len(list(sources())) > 200


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import marshal as m",
        "from xml.etree import ElementTree",
        "import lxml",
        "eval(text)",
        "exec(text)",
        "os.system(f'rm {name}')",
        "subprocess.run(command, shell=True)",
        "subprocess.run(command, shell=maybe)",
        "asyncio.create_subprocess_shell(line)",
        "yaml.load(text)",
        "yaml.load(text, Loader=yaml.Loader)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "np.lib.format.read_array(file)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "pd.read_pickle(path)",
    ],
)
def test_what_would_run_it_is_found(line: str) -> None:
    assert len(complaints(f"def f():\n    {line}\n")) == 1


def test_what_is_harmless_is_not_complained_about() -> None:
    assert complaints("network.eval()\nre.compile('x')\nnp.load(f, allow_pickle=False)\nfrom ast import parse\n") == []


# --- archives -------------------------------------------------------------------------------------------------------


BOMB_BYTES = 24 << 20


def lying_zip(path: Path, member: str, kind: int) -> Path:
    """A zip that says that its member has ten bytes, and unpacks to `BOMB_BYTES`."""
    with zipfile.ZipFile(path, "w", kind) as archive, archive.open(member, "w") as file:
        for _ in range(BOMB_BYTES >> 20):
            file.write(bytes(1 << 20))
    packed = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", packed, packed.rindex(signature) + place, 10)
    path.write_bytes(packed)
    return path


def tar_with(path: Path, info: tarfile.TarInfo, content: bytes = b"") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return path


def special(kind: bytes, name: str, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@contextmanager
def with_at_most(memory: int) -> Iterator[None]:
    """Fails where Python asks for more bytes than that at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()


READERS: dict[str, tuple[str, type[Exception], Callable[[Path], object]]] = {
    "E4": ("export/EDA.csv", SourceError, read_export),
    "OpenPose": ("frame_000.json", FeatureFileError, lambda path: list(read_json(path, set(json_names(path))))),
}
ZIPS = {**READERS, "NPZ": ("x.npy", NpzError, read_npz)}
"""And who reads a zip without taking its names for those of files."""


@pytest.mark.parametrize("kind", ZIPS)
@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_that_lies_about_its_size_is_not_unpacked(tmp_path: Path, kind: str, packing: int) -> None:
    member, refusal, read = ZIPS[kind]
    bomb = lying_zip(tmp_path / "bomb.zip", member, packing)
    with with_at_most(BOMB_BYTES // 4), pytest.raises(refusal):
        read(bomb)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("name", ["../{}", "a/../../{}", "/etc/{}", "..\\{}", "C:\\{}"])
def test_a_member_that_points_out_of_its_archive_is_refused(tmp_path: Path, kind: str, name: str) -> None:
    member, refusal, read = READERS[kind]
    inside = name.format(Path(member).name)
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr(inside, "1")
    for archive_path in (tmp_path / "out.zip", tar_with(tmp_path / "out.tar.gz", tarfile.TarInfo(inside), b"1")):
        with pytest.raises(refusal, match="refused"):
            read(archive_path)


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("type_", ["SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE"])
def test_links_and_devices_in_an_archive_are_refused(tmp_path: Path, kind: str, type_: str) -> None:
    member, refusal, read = READERS[kind]
    path = tar_with(tmp_path / "odd.tar.gz", special(getattr(tarfile, type_), Path(member).name, "/etc/passwd"))
    with pytest.raises(refusal, match="refused"):
        read(path)


# --- XML, YAML, arrays, checkpoints ---------------------------------------------------------------------------------

EAF = """<?xml version="1.0" encoding="UTF-8"?>
{doctype}
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-20T10:00:00+00:00" FORMAT="3.0" VERSION="3.0"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="0"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="9000"/></TIME_ORDER>
<TIER TIER_ID="engagement C2" ANNOTATOR="C2" LINGUISTIC_TYPE_REF="t"><ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION></ANNOTATION></TIER><LINGUISTIC_TYPE LINGUISTIC_TYPE_ID="t"/></ANNOTATION_DOCUMENT>
"""
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
DOCTYPES = {
    "billion laughs": (f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]>', "&a9;"),
    "a million laughs": (f'<!DOCTYPE x [<!ENTITY a0 "ha">{LAUGHS}]>', "&a6;"),
    "a large one, often": (f'<!DOCTYPE x [<!ENTITY a "{"x" * 100_000}">]>', "&a;" * 2_000),
    "a file of this computer": ('<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>', "&a;"),
    "a page elsewhere": ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', "low"),
    "a parameter entity": ('<!DOCTYPE x [<!ENTITY % a SYSTEM "file:///etc/hostname"> %a;]>', "low"),
}


def test_an_elan_file_without_any_of_that_is_read(tmp_path: Path) -> None:
    (tmp_path / "good.eaf").write_text(EAF.format(doctype="", value="low"))
    (said,) = read_coding(tmp_path / "good.eaf", "C2")
    assert said.text == "low"


@pytest.mark.parametrize("kind", DOCTYPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_elan_file_with_entities_is_refused(tmp_path: Path, kind: str, encoding: str) -> None:
    doctype, value = DOCTYPES[kind]
    text = EAF.format(doctype=doctype, value=value).replace("UTF-8", encoding)
    (tmp_path / "evil.eaf").write_text(text, encoding=encoding)
    with with_at_most(4 << 20), pytest.raises(SessionError, match="has a document type definition"):
        read_coding(tmp_path / "evil.eaf", "C2")


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.trace,)  # type: ignore[return-value]


@pytest.mark.parametrize(("read", "refusal"), [(read_recording, RecordingError), (read_arrays, DataError)])
def test_arrays_with_code_inside_are_refused(
    tmp_path: Path, read: Callable[[Path], object], refusal: type[Exception]
) -> None:
    trace = tmp_path / "it ran"
    np.savez(tmp_path / "evil.npz", start_ns=np.array(0), x=np.array([Payload(trace)], object))
    with pytest.raises(refusal):
        read(tmp_path / "evil.npz")
    assert not trace.exists()


@pytest.mark.parametrize(("read", "refusal"), [(read_recording, RecordingError), (read_arrays, DataError)])
def test_arrays_that_say_they_are_endless_are_refused(
    tmp_path: Path, read: Callable[[Path], object], refusal: type[Exception]
) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 58,)})
    with zipfile.ZipFile(tmp_path / "evil.npz", "w") as archive:
        archive.writestr("start_ns.npy", header.getvalue() + bytes(8))
    with pytest.raises(refusal):
        read(tmp_path / "evil.npz")


def test_what_is_no_array_among_arrays_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evil.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(BOMB_BYTES))
    with with_at_most(BOMB_BYTES // 4), pytest.raises(NpzError, match="'x' is no array"):
        read_npz(tmp_path / "evil.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_arrays_that_can_only_be_unpacked_as_a_whole_are_refused(tmp_path: Path, packing: int) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    with zipfile.ZipFile(tmp_path / "odd.npz", "w", packing) as archive:
        archive.writestr("x.npy", array.getvalue())
    with pytest.raises(NpzError, match=r"'x\.npy' is packed in an unusual way"):
        read_npz(tmp_path / "odd.npz")


@pytest.mark.parametrize(
    "content", [b"", b"a text", b"\x93NUMPY\1\0", bytes(5000)], ids=["nothing", "a text", "one array", "zeros"]
)
def test_a_file_that_is_no_zip_is_one_clear_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "evil.npz").write_bytes(content)
    with pytest.raises(NpzError, match=r"^File is not a zip file$"):
        read_npz(tmp_path / "evil.npz")


def test_a_checkpoint_with_code_inside_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    torch.save({"identity": "x", "payload": Payload(trace)}, tmp_path / "evil.pt")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.pt", "x", "cpu")
    assert not trace.exists()


YAMLS = {
    "code": "name: !!python/object/apply:pathlib.Path.touch [{trace}]\n",
    "laughs": "".join(["x0: &x0 [x]\n", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]\n" for n in range(1, 12))]),
    "laughs where a list belongs": "\n".join(
        ["x0: &x0 [low]", *(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12)), "classes: *x11"]
    ),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", YAMLS)
def test_a_description_of_a_table_runs_nothing_and_stays_small(tmp_path: Path, kind: str) -> None:
    trace = tmp_path / "it ran"
    (tmp_path / "evil.yaml").write_text(YAMLS[kind].replace("{trace}", str(trace)))
    with with_at_most(16 << 20), pytest.raises(DataError) as refused:
        read_layout(tmp_path / "evil.yaml")
    assert len(str(refused.value)) < 1000
    assert not trace.exists()


def test_sql_is_never_put_together_from_text() -> None:
    """Everything goes through SQLAlchemy's parameters."""
    for path in sources():
        if "session" in path.parts:
            assert not re.search(r"execute\(\s*f[\"']|text\(f[\"']", path.read_text()), path


# --- what we stand on -----------------------------------------------------------------------------------------------

PINNED = {
    canonicalize_name(line.partition("==")[0]): line.strip().partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line
}


def needed(name: str, extras: frozenset[str], seen: dict[str, str]) -> dict[str, str]:
    """What an installed distribution needs here, with all that this needs: name and version."""
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        wanted = any(requirement.marker.evaluate({"extra": extra}) for extra in extras) if requirement.marker else True
        other = canonicalize_name(requirement.name)
        if wanted and other not in seen:
            seen[other] = metadata.version(other)
            needed(other, frozenset(requirement.extras) | {""}, seen)
    return seen


def test_everything_that_is_needed_is_pinned() -> None:
    """So that an audit of constraints.txt is one of what runs."""
    extras = frozenset(metadata.metadata("mmal_ros").get_all("Provides-Extra") or ()) | {""}
    found = needed("mmal_ros", extras, {})
    assert len(found) > 100
    ours_or_tools = {"mmal-ros", "mmal-msgs", "pip", "setuptools"}
    assert sorted(set(found) - set(PINNED) - ours_or_tools) == []


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ('{"dependencies": [{"name": "h11", "skip_reason": "not found on PyPI"}]}', 2, "did not answer, so nothing is"),
        ("", 2, "did not answer, so nothing is known; run it where"),
        ('{"dependencies": [{"name": "h11", "version": "1", "vulns": []}]}', 0, "1 packages asked about"),
        (
            '{"dependencies": [{"name": "h11", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}]}',
            1,
            "h11 1: CVE-1, mended in 2",
        ),
    ],
)
def test_an_audit_that_nobody_answered_is_no_good_news(tmp_path: Path, answer: str, code: int, said: str) -> None:
    """The answers are given here: tests must not depend on a service elsewhere."""
    stand_in = tmp_path / "pip-audit"
    stand_in.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n")
    stand_in.chmod(0o700)
    run = subprocess.run(
        [sys.executable, ROOT / "scripts/audit", stand_in], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (run.returncode, said in run.stdout + run.stderr) == (code, True), run
