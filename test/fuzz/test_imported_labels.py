"""Labels from ELAN and from tables: imported, or refused with one `SessionError`; and nothing hangs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example

from mmal_ros.datatypes import STEP_NS
from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.importing import import_labels, read_coding
from mmal_ros.session.folder import SessionFolder
from rigs.fuzzing import fuzz
from rigs.mutation import damaged_text
from rigs.sessions import make_session

CSV = "start_s,end_s,value,annotator,note\n2.0,3.0,low,C1,\n4,5.5,HIGH,,so\n8,9,3,C2,other\n"
EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-20T10:00:00+00:00" FORMAT="3.0" VERSION="3.0">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"></HEADER>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="2000"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="3000"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="4000"/>
<TIME_SLOT TIME_SLOT_ID="ts4"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="engagement C1" ANNOTATOR="C1">
<ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>low</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION>
</ANNOTATION>
<ANNOTATION>
<ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>high</ANNOTATION_VALUE>
</ALIGNABLE_ANNOTATION>
</ANNOTATION>
</TIER>
<TIER LINGUISTIC_TYPE_REF="ref" PARENT_REF="engagement C1" TIER_ID="second" ANNOTATOR="C1">
<ANNOTATION>
<REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
<ANNOTATION_VALUE>medium</ANNOTATION_VALUE>
</REF_ANNOTATION>
</ANNOTATION>
</TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" LINGUISTIC_TYPE_ID="ref" TIME_ALIGNABLE="false"/>
<CONSTRAINT DESCRIPTION="1-1" STEREOTYPE="Symbolic_Association"/>
</ANNOTATION_DOCUMENT>
"""
CIRCLE = EAF.replace('ANNOTATOR="C1">', 'ANNOTATOR="C1" PARENT_REF="second">', 1).replace('REF="a1"', 'REF="a3"')
NO_WORD = EAF.replace("<ANNOTATION_VALUE>low</ANNOTATION_VALUE>", "")
LAUGHS = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "ha">%s]><ANNOTATION_DOCUMENT>&a30;</ANNOTATION_DOCUMENT>' % (  # noqa: UP031
    "".join(f'<!ENTITY a{n} "&a{n - 1};&a{n - 1};">' for n in range(1, 31))
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> SessionFolder:
    return make_session(tmp_path_factory.mktemp("labels"), minutes=0.5, flags=5, clips=False)


def _import(session: SessionFolder, path: Path, tier: str | None = None) -> None:
    try:
        import_labels(session, read_coding(path, "C1", tier), "C1", 10**9 * STEP_NS)
    except SessionError as error:
        assert str(error)


@fuzz(damaged_text(CSV))
@example(b"start_s,end_s,value\n1,1e308,low\n")  # times a thousand this is no number
@example(b"start_s,end_s,value\n1,1e305,low\n")  # and half of this is none
def test_a_damaged_table_of_labels(tmp_path, session, content):
    (tmp_path / "coding.csv").write_bytes(content)
    _import(session, tmp_path / "coding.csv")


@fuzz(damaged_text([EAF, CIRCLE, NO_WORD]))
@example(EAF.replace('"3000"', '"' + "9" * 400 + '"').encode())
@example(CIRCLE.encode())  # two tiers that are each other's parents
@example(NO_WORD.encode())
@example(LAUGHS.encode())
@example(EAF.replace("UTF-8", "TTF-8").encode())
@example(("<a>" * 100_000).encode())
def test_a_damaged_file_of_elan(tmp_path, session, content):
    (tmp_path / "coding.eaf").write_bytes(content)
    for tier in (None, "second"):
        _import(session, tmp_path / "coding.eaf", tier)
