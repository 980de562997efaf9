"""Several coders: whose word a classifier learns, and how far they agree, checked against others' arithmetic."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import yaml
from sklearn.metrics import cohen_kappa_score

from mmal_ros.datatypes import Level
from mmal_ros.session.agreement import AgreementRule, agreement, cohens_kappa, training_labels
from mmal_ros.session.records import Label, LabelValue

LOW, MEDIUM, HIGH, CANNOT_TELL, BAD_CAPTURE = LabelValue


def labels(*said: tuple[int, str, LabelValue | None]) -> list[Label]:
    """(window, coder, value), in the order of saying."""
    return [Label(window, window * 100, coder, value, number) for number, (window, coder, value) in enumerate(said)]


def levels(said, lead=None) -> dict[int, Level]:
    return {label.window_id: label.level for label in training_labels(said, AgreementRule(lead))}


def by_window(*values: LabelValue) -> list[Label]:
    return labels(*((7, f"C{number}", value) for number, value in enumerate(values)))


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ((LOW,), Level.LOW),
        ((HIGH, HIGH, LOW), Level.HIGH),
        ((HIGH, LOW), None),
        ((HIGH, HIGH, LOW, MEDIUM), None),  # two of four is no majority
        ((CANNOT_TELL,), None),
        ((LOW, CANNOT_TELL), None),  # who cannot tell has said something
        ((LOW, LOW, CANNOT_TELL), Level.LOW),
        ((LOW, CANNOT_TELL, BAD_CAPTURE), None),
        ((CANNOT_TELL, CANNOT_TELL, LOW), None),
    ],
)
def test_what_most_coders_say_is_learned(values, level):
    assert levels(by_window(*values)) == ({} if level is None else {7: level})


@pytest.mark.parametrize(
    ("values", "level"),
    [
        ((LOW, HIGH, HIGH), Level.LOW),
        ((CANNOT_TELL, HIGH, HIGH), None),  # also the lead's doubt counts
        ((LOW, HIGH), Level.LOW),
    ],
)
def test_a_lead_coder_decides(values, level):
    assert levels(by_window(*values), lead="C0") == ({} if level is None else {7: level})


def test_where_the_lead_is_silent_the_others_decide():
    said = labels((1, "C0", LOW), (2, "C1", HIGH), (2, "C2", HIGH), (3, "C1", HIGH), (3, "C2", LOW))
    assert levels(said, lead="C0") == {1: Level.LOW, 2: Level.HIGH}


def test_a_changed_mind_and_a_retraction_count():
    said = labels((1, "C1", LOW), (1, "C1", HIGH), (2, "C1", LOW), (2, "C1", None), (3, "C1", LOW))
    assert levels(said) == {1: Level.HIGH, 3: Level.LOW}
    assert [label.stamp_ns for label in training_labels(said)] == [100, 300]


def test_of_one_coder_there_is_nothing_to_agree_on():
    found = agreement(labels((1, "C1", LOW), (2, "C1", HIGH)))
    assert (found.annotators, found.windows, found.kappa, found.alpha) == (("C1",), 0, {}, None)
    assert agreement([]).annotators == ()


def test_coders_who_always_say_the_same_word_have_no_kappa():
    found = agreement(labels((1, "C1", LOW), (1, "C2", LOW), (2, "C1", LOW), (2, "C2", LOW)))
    assert (found.windows, found.kappa, found.alpha) == (2, {("C1", "C2"): None}, None)


def test_only_windows_on_which_both_name_a_level_are_compared():
    said = labels(
        *((window, coder, value) for window, value in enumerate((LOW, MEDIUM, HIGH)) for coder in ("C1", "C2")),
        *((3, "C1", LOW), (3, "C2", CANNOT_TELL), (4, "C1", HIGH)),
    )
    found = agreement(said)
    assert (found.windows, found.both, found.kappa) == (3, {("C1", "C2"): 3}, {("C1", "C2"): 1.0})
    assert found.alpha == pytest.approx(1)


def test_alpha_knows_that_low_is_farther_from_high_than_from_medium():
    one, near, far = (LOW, MEDIUM, HIGH, LOW, HIGH), (LOW, MEDIUM, HIGH, MEDIUM, HIGH), (LOW, MEDIUM, HIGH, HIGH, HIGH)

    def alpha(other):
        both = zip(one, other, strict=True)
        return agreement(labels(*((w, c, v) for w, pair in enumerate(both) for c, v in zip("AB", pair, strict=True))))

    assert alpha(near).alpha > alpha(far).alpha


def test_alpha_is_that_of_its_definition():
    """Krippendorff, Content Analysis (2004), ch. 11: pair by pair, with words missing."""
    rng = np.random.default_rng(5)
    table = rng.integers(0, 3, size=(3, 40)).astype(float)
    table[rng.random(table.shape) < 0.3] = np.nan
    values = list(LabelValue)
    said = labels(
        *((w, f"C{c}", values[int(v)]) for c, row in enumerate(table) for w, v in enumerate(row) if not np.isnan(v))
    )
    assert agreement(said).alpha == pytest.approx(ordinal_alpha(table), abs=1e-9)


def ordinal_alpha(table: np.ndarray) -> float:
    """From the definition: observed over expected disagreement of all pairs of values of a unit, and of all units."""
    units = [[int(v) for v in column if not np.isnan(v)] for column in table.T]
    units = [unit for unit in units if len(unit) > 1]
    values = [value for unit in units for value in unit]
    counts = np.bincount(values, minlength=3)

    def difference(a: int, b: int) -> float:
        low, high = min(a, b), max(a, b)
        return float((counts[low : high + 1].sum() - (counts[low] + counts[high]) / 2) ** 2)

    observed = sum(difference(a, b) / (len(unit) - 1) for unit in units for a in unit for b in unit) / len(values)
    expected = sum(difference(a, b) for a in values for b in values) / (len(values) * (len(values) - 1))
    return 1 - observed / expected


PLAY = {"solitary": LOW, "onlooker": MEDIUM, "parallel": MEDIUM, "associative": HIGH, "cooperative": HIGH}
"""Parten's stages of social play, as three levels: ordered, and coded by two people in many sessions."""


def pinsoro(folder) -> list[tuple[str, list[Label]]]:
    """Per session and child: what each coder said of every second."""
    found: dict[str, list[Label]] = {}
    with tarfile.open(folder / "pinsoro-annotations" / "annotations.tar.gz") as archive:
        for member in archive:
            if ".annotations." not in member.name:
                continue
            session, coder = member.name.split("/")[-2], member.name.split(".")[-2]
            said = yaml.load(archive.extractfile(member), Loader=yaml.CSafeLoader)  # type: ignore[arg-type]
            for child in ("purple", "yellow"):
                found.setdefault(f"{session} {child}", []).extend(seconds(said.get(child) or [], coder))
    return [(name, said) for name, said in found.items() if len({label.annotator for label in said}) > 1]


def seconds(segments, coder) -> list[Label]:
    said = {}
    for segment in segments:
        ((word, (start, end)),) = segment.items()
        if word in PLAY:
            said |= dict.fromkeys(range(int(np.ceil(start)), int(np.floor(end)) + 1), PLAY[word])
    return [Label(second, second * 10**9, coder, value, 0) for second, value in said.items()]


def test_kappa_of_real_coders_is_that_of_scikit_learn(shared_data):
    """Two students watched the same children at play (PInSoRo)."""
    sessions = pinsoro(shared_data)
    assert len(sessions) > 20
    for name, said in sessions:
        found = agreement(said)
        for (a, b), kappa in found.kappa.items():
            one, other = ({x.window_id: x.value.level for x in said if x.annotator == coder} for coder in (a, b))
            both = sorted(one.keys() & other.keys())
            assert found.both[a, b] == len(both), name
            if kappa is not None:
                theirs = cohen_kappa_score([one[w] for w in both], [other[w] for w in both])
                assert kappa == pytest.approx(theirs, abs=1e-12), name


@pytest.mark.parametrize("seed", range(5))
def test_kappa_of_any_coders_is_that_of_scikit_learn(seed):
    one, other = np.random.default_rng(seed).integers(0, 3, size=(2, 30))
    assert cohens_kappa(one, other) == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
