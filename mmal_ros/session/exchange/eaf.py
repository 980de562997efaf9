"""ELAN's .eaf: a tier per coder with the five words as a controlled vocabulary, and a tier that says what was flagged.

Format: ELAN Annotation Format, Max Planck Institute for Psycholinguistics; pympi reads 2.x and 3.0, and writes 2.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.parsers import expat

import pympi

from mmal_ros.session.card import SessionError
from mmal_ros.session.exchange.coding import Coding
from mmal_ros.session.exchange.spans import LONGEST_MS, Said, Span, lanes
from mmal_ros.session.records import LabelValue
from mmal_ros.wording import why

TYPE = "engagement"
"""Of a coder's tier: its annotations are words of the vocabulary."""
FLAGS, NOTE = "flags", "note"
_UNDETERMINED = ("und", "http://cdb.iso.org/lg/CDB-00130975-001", "undetermined (und)")
"""ELAN's own name of the language of vocabularies that are in none."""


def write_eaf(path: Path, coding: Coding) -> None:
    """Write flags and standing labels of a session; `path` must not be there yet."""
    eaf = pympi.Eaf(author=f"mmal_ros {coding.card.software}")
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    _add_vocabulary(eaf)
    eaf.remove_tier("default")
    flags = [Said(coding.span(flag), flag.reason, "", "") for flag in coding.flags]
    _add_tiers(eaf, FLAGS, flags, ling="default-lt")
    for coder in coding.coders:
        said = [Said(coding.span(word), word.value or "", word.note, "") for word in coding.said_by(coder)]
        _add_tiers(eaf, f"{TYPE} {coder}", said, ling=TYPE, ann=coder)
        notes = [Said(word.span, word.note, "", "") for word in said if word.note]
        if notes:
            _add_tiers(eaf, f"{NOTE} {coder}", notes, ling="default-lt")
    eaf.to_file(str(path))


def read_eaf(path: Path, annotator: str, tier: str | None = None) -> list[Said]:
    """What a coder's tier says, in the order of time.

    Args:
        path: of the .eaf.
        annotator: code of the coder.
        tier: its name; by default the tiers that name this coder as their annotator, or the only one that is nobody's.

    Raises:
        SessionError: it is no .eaf, or it is not clear which tier is meant.
    """
    eaf = _parsed(path)
    said = [word for name in _tiers_of(eaf, annotator, tier, path) for word in _annotations(eaf, name, path)]
    noting = [word for name in _named(eaf, f"{NOTE} {annotator}") for word in _annotations(eaf, name, path)]
    notes = {word.span: word.text for word in noting}
    noted = [Said(word.span, word.text, notes.get(word.span, ""), word.place) for word in said]
    return sorted(noted, key=lambda word: word.span.start_ms)


def _add_vocabulary(eaf: Any) -> None:
    language = _UNDETERMINED[0]
    eaf.add_language(*_UNDETERMINED)
    eaf.add_controlled_vocabulary(TYPE)
    eaf.add_cv_description(TYPE, language, "how engaged the person is")
    for value in LabelValue:
        eaf.add_cv_entry(TYPE, f"cveid_{value}", [(value.value, language, None)])
    attributes = {"TIME_ALIGNABLE": "true", "GRAPHIC_REFERENCES": "false", "CONTROLLED_VOCABULARY_REF": TYPE}
    eaf.add_linguistic_type(TYPE, param_dict={"LINGUISTIC_TYPE_ID": TYPE, **attributes})


def _add_tiers(eaf: Any, name: str, said: Sequence[Said], **attributes: str) -> None:
    for number, lane in enumerate(lanes(said) or [[]], start=1):
        tier = name if number == 1 else f"{name} ({number})"
        eaf.add_tier(tier, **attributes)
        for word in lane:
            eaf.add_annotation(tier, word.span.start_ms, word.span.end_ms, _printable(word.text))


def _printable(text: str) -> str:
    """Without control characters, which XML cannot hold; lines stay."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)


def _parsed(path: Path) -> Any:
    if not path.is_file():
        raise SessionError(f"there is no file {path}")
    _refuse_entities(path)
    try:
        return pympi.Eaf(str(path), suppress_version_warning=True)
    except Exception as error:  # pympi raises whatever it stumbles over
        raise SessionError(f"{path} is no ELAN file, or a damaged one; does it open in ELAN?") from error


def _refuse_entities(path: Path) -> None:
    """ELAN writes no document type; with one, a small file can become a large text, or one of another file."""

    def refuse(*_: object) -> None:
        raise SessionError(f"{path} has a document type definition, which no ELAN file has; it is not read")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    try:
        with suppress(expat.ExpatError), path.open("rb") as file:  # what is damaged is complained about afterwards
            parser.ParseFile(file)
    except LookupError as error:
        raise SessionError(f"{path} is no ELAN file: {error}") from error
    except OSError as error:
        raise SessionError(f"{path} cannot be read: {why(error)}") from error


def _tiers_of(eaf: Any, annotator: str, tier: str | None, path: Path) -> list[str]:
    if tier is not None:
        if tier not in eaf.tiers:
            raise SessionError(f"{path} has no tier '{tier}'; there are {_listed(eaf.tiers)}")
        return [tier]
    owner = {name: attributes.get("ANNOTATOR") or "" for name, (_, _, attributes, _) in eaf.tiers.items()}
    own = [name for name in owner if owner[name] == annotator or name == annotator]
    if own:
        return own
    ours = (*_named(eaf, FLAGS), *(name for name in owner if name.startswith(f"{NOTE} ")))
    nobodys = [name for name in owner if not owner[name] and any(eaf.tiers[name][:2]) and name not in ours]
    if len(nobodys) == 1:
        return nobodys
    raise SessionError(
        f"{path} has no tier whose annotator is {annotator}; name the one to read by --tier: {_listed(eaf.tiers)}"
    )


def _named(eaf: Any, name: str) -> list[str]:
    return [tier for tier in eaf.tiers if tier == name or tier.startswith(f"{name} (")]


def _annotations(eaf: Any, tier: str, path: Path) -> Iterator[Said]:
    aligned, referring, _, _ = eaf.tiers[tier]
    entries = {name: (entry, entry[2]) for name, entry in aligned.items()}
    for name, reference in referring.items():
        entries[name] = (_aligned(eaf, name, path), reference[1])
    for name, (entry, text) in entries.items():
        place = f"{path}, annotation {name} of tier '{tier}'"
        start_ms, end_ms = (eaf.timeslots.get(slot) for slot in entry[:2])
        if start_ms is None or end_ms is None or not 0 <= start_ms < end_ms <= LONGEST_MS:
            raise SessionError(f"{place} has no beginning and end in time; give it both in ELAN")
        yield Said(Span(start_ms, end_ms), text or "", "", place)


def _aligned(eaf: Any, name: str, path: Path) -> Any:
    """The one with a beginning and an end that this one refers to; pympi would follow a circle for ever."""
    followed: set[str] = set()
    at = name
    while at not in followed and (tier := eaf.tiers.get(eaf.annotations.get(at))):
        if at in tier[0]:
            return tier[0][at]
        followed.add(at)
        at = tier[1][at][0] if at in tier[1] else ""
    raise SessionError(f"{path}, annotation {name} refers to one that is not there, or to itself")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "none"
