"""A session as files of other tools: complete, private, blind to the model, and never over somebody's work."""

from __future__ import annotations

import json
import re
import stat
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore

from mmal_ros.session.bag import claimed
from mmal_ros.session.bag_metadata import BAG_FILE
from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.exporting import Format, export_session
from mmal_ros.session.folder import SessionFolder
from mmal_ros.session.records import Label, LabelValue
from mmal_ros.session.store import SessionStore
from rigs.sessions import make_session

WORDS = [value.value for value in LabelValue]


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> SessionFolder:
    """Five flags; C1 says all five words, C2 only something of the first."""
    folder = make_session(tmp_path_factory.mktemp("sessions"), minutes=0.5, flags=5)
    with SessionStore(folder.labels) as store:
        for number, flag in enumerate(store.flags()):
            note = 'says "no" & turns\x07away' if number == 0 else ""
            label = Label(flag.window_id, flag.stamp_ns, "C1", LabelValue(WORDS[number]), 1, note)
            store.add_label(label, f"C1 {number}")
        first = store.flags()[0]
        store.add_label(Label(first.window_id, first.stamp_ns, "C2", LabelValue.HIGH, 1), "C2")
    return folder


@pytest.fixture
def output(tmp_path) -> Path:
    return tmp_path / "out"


def export(session, kind: Format, output: Path, coder: str | None = None):
    export_session(session, kind, output, coder)
    return json.loads(output.read_text()) if kind in (Format.BORIS, Format.LABEL_STUDIO) else output


@pytest.mark.parametrize("kind", list(Format))
def test_nobody_else_may_read_what_was_written(session, output, kind):
    for path in export_session(session, kind, output):
        parts = [path, *path.iterdir()] if path.is_dir() else [path]
        assert {stat.S_IMODE(part.stat().st_mode) & 0o077 for part in parts} == {0}
    assert not [path for path in output.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", list(Format))
def test_what_is_there_is_never_replaced(session, output, kind):
    """It might be the file in which somebody has been coding all week."""
    output.write_text("a week of work")
    with pytest.raises(SessionError, match="out is there already, and might hold work"):
        export_session(session, kind, output)
    assert output.read_text() == "a week of work"
    assert [path.name for path in output.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", list(Format))
def test_a_folder_that_is_not_there_is_one_sentence(session, tmp_path, kind):
    with pytest.raises(SessionError, match=r"nowhere/out cannot be written: No such file"):
        export_session(session, kind, tmp_path / "nowhere" / "out")


def test_elan_finds_tiers_words_and_times(session, output):
    root = ElementTree.parse(export(session, Format.EAF, output)).getroot()
    tiers = {tier.get("TIER_ID"): tier for tier in root.iter("TIER")}
    assert set(tiers) == {"flags", "engagement C1", "engagement C2", "note C1"}
    assert [value.text for value in tiers["engagement C1"].iter("ANNOTATION_VALUE")] == WORDS
    assert tiers["engagement C1"].get("ANNOTATOR") == "C1"
    types = {
        kind.get("LINGUISTIC_TYPE_ID"): kind.get("CONTROLLED_VOCABULARY_REF") for kind in root.iter("LINGUISTIC_TYPE")
    }
    vocabulary = root.find("CONTROLLED_VOCABULARY")
    assert types[tiers["engagement C1"].get("LINGUISTIC_TYPE_REF")] == vocabulary.get("CV_ID")
    assert [value.text for value in vocabulary.iter("CVE_VALUE")] == WORDS
    times = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")}
    first = next(tiers["flags"].iter("ALIGNABLE_ANNOTATION"))
    assert (times[first.get("TIME_SLOT_REF1")], times[first.get("TIME_SLOT_REF2")]) == (3000, 4000)
    assert next(tiers["note C1"].iter("ANNOTATION_VALUE")).text == 'says "no" & turns away'


def test_a_second_coder_gets_an_empty_tier_and_sees_nobodys_word(session, output):
    text = export(session, Format.EAF, output, coder="C3").read_text()
    assert 'TIER_ID="engagement C3"' in text
    assert "C1" not in text
    assert len(re.findall("<ANNOTATION_VALUE>", text)) == 5  # why the windows were flagged


@pytest.mark.parametrize("kind", list(Format))
def test_what_is_made_for_one_coder_holds_nobody_elses_word(session, output, kind):
    for path in export_session(session, kind, output, coder="C2"):
        parts = path.iterdir() if path.is_dir() else [path]
        content = b"".join(part.read_bytes() for part in parts if not part.name.startswith("bag"))
        assert b"C1" not in content
        assert b"turns" not in content  # C1's note


def test_label_studio_gets_a_task_per_clip_without_predictions(session, output):
    tasks = export(session, Format.LABEL_STUDIO, output)
    assert len(tasks) == 5
    for task in tasks:
        assert set(task) == {"data", "annotations"}  # no predictions: coders are blind
        root, clip = task["data"]["video"].split("?d=")
        assert root == "/data/local-files/"
        assert (session.path.parent / clip).is_file()
    said = [result["value"] for result in tasks[0]["annotations"][1]["result"]]
    assert said == [{"choices": ["high"]}, {"text": ["C2"]}]


def test_the_interface_of_label_studio_knows_the_names_in_the_tasks(session, output):
    tasks = export(session, Format.LABEL_STUDIO, output)
    interface = ElementTree.parse(output.with_name("out.interface.xml")).getroot()
    named = {part.get("name"): part for part in interface.iter() if part.get("name")}
    for result in tasks[0]["annotations"][0]["result"]:
        assert named[result["from_name"]].get("toName") == result["to_name"]
    assert named["video"].get("value") == "$video"
    assert [choice.get("value") for choice in interface.iter("Choice")] == WORDS


def test_label_studio_has_nothing_to_show_without_clips(tmp_path, output):
    session = make_session(tmp_path, minutes=0.5, flags=2, clips=False)
    with pytest.raises(SessionError, match="has no clips to be looked at; export it as csv, eaf or foxglove"):
        export_session(session, Format.LABEL_STUDIO, output)
    assert not output.exists()


def test_boris_gets_an_observation_per_coder_with_states_that_start_and_stop(session, output):
    project = export(session, Format.BORIS, output)
    behaviours = project["behaviors_conf"].values()
    assert [(b["code"], b["key"], b["type"]) for b in behaviours] == [
        (word, str(key), "State event") for key, word in enumerate(WORDS, start=1)
    ]
    assert set(project["observations"]) == {f"{session.name} C1", f"{session.name} C2"}
    assert project["observations"][f"{session.name} C2"]["events"] == [
        [3.0, "P017", "high", "", ""],
        [4.0, "P017", "high", "", ""],
    ]
    events = project["observations"][f"{session.name} C1"]["events"]
    assert [event[2] for event in events] == [word for word in WORDS for _ in range(2)]


def test_boris_knows_every_field_that_its_own_projects_have(session, output):
    """As in test.boris of the BORIS sources, format 7.0."""
    project = export(session, Format.BORIS, output)
    assert project.keys() >= {
        *("time_format", "project_name", "project_date", "project_description", "project_format_version"),
        *("subjects_conf", "behaviors_conf", "behavioral_categories", "coding_map", "independent_variables"),
        *("observations", "converters"),
    }
    observation = next(iter(project["observations"].values()))
    assert observation.keys() >= {
        "file",
        "type",
        "date",
        "description",
        "time offset",
        "events",
        "independent_variables",
    }


def test_foxglove_gets_the_recording_the_labels_and_a_layout_of_topics_that_are_there(session, output):
    export(session, Format.FOXGLOVE, output)
    assert sorted(path.name for path in output.iterdir()) == ["bag_0.mcap", "labels.mcap", "layout.json"]
    with AnyReader([output / "bag_0.mcap"], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as bag:
        recorded = set(bag.topics)
    with (output / "labels.mcap").open("rb") as file:
        said = [(c.topic, m.log_time, json.loads(m.data)) for _, c, m in make_reader(file).iter_messages()]
    with SessionStore(session.labels) as store:
        labels = store.standing_labels()
    assert [(topic, time, content["value"]) for topic, time, content in said] == [
        (f"/labels/{label.annotator}", label.stamp_ns, label.value) for label in labels
    ]
    assert [content["level"] for _, _, content in said if content["value"] == "cannot_tell"] == [-1]
    layout = json.loads((output / "layout.json").read_text())
    shown = {path["value"].split(".")[0] for panel in layout["configById"].values() for path in panel.get("paths", [])}
    assert shown == {"/mmal/engagement", "/mmal/e4/eda", "/labels/C1", "/labels/C2"}
    assert shown <= recorded | {topic for topic, _, _ in said}
    assert set(leaves(layout["layout"])) == set(layout["configById"])


def leaves(node) -> list[str]:
    return [node] if isinstance(node, str) else [*leaves(node["first"]), *leaves(node["second"])]


def test_a_session_that_is_being_recorded_is_not_copied(session, output):
    metadata = (session.bag / "metadata.yaml").read_bytes()
    (session.bag / "metadata.yaml").unlink()  # as while it is being written
    try:
        with claimed(session.bag), pytest.raises(SessionError, match=r"cannot be read yet, .* being recorded\?"):
            export_session(session, Format.FOXGLOVE, output)
    finally:
        (session.bag / "metadata.yaml").write_bytes(metadata)
    assert not output.exists()


@pytest.mark.parametrize(
    ("left", "complaint"),
    [
        (None, f"{BAG_FILE} cannot be read: No such file"),
        (0.0, f"{BAG_FILE} cannot be read|{BAG_FILE} is damaged"),
        (0.5, f"{BAG_FILE} is damaged: its index cannot be read; take the bag from a backup"),
    ],
    ids=["missing", "empty", "cut off"],
)
def test_a_bag_that_is_not_whole_is_one_sentence(tmp_path, left, complaint):
    """Though its metadata.yaml says that it was closed."""
    session = make_session(tmp_path / "sessions", minutes=0.2, flags=1, clips=False)
    path = session.bag / BAG_FILE
    content = path.read_bytes()
    path.unlink()
    if left is not None:
        path.write_bytes(content[: int(left * len(content))])
    with pytest.raises(SessionError, match=complaint):
        export_session(session, Format.FOXGLOVE, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["sessions"]
