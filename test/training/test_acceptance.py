"""Whether a person's model may replace the one in use."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from mmal_ros.training.group.models import GroupModel, GroupSettings, fit_group
from mmal_ros.training.metrics import score
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.acceptance import gap_between, judge
from mmal_ros.training.person.personalise import PRODUCT
from rigs.made_people import labelled, person

QUICK = replace(PRODUCT, epochs=3, trees=20, spreads=False)
NOBODY = -1


@pytest.fixture(scope="module")
def group() -> GroupModel:
    return fit_group([person("a", 1), person("b", 2), person("c", 3)], GroupSettings(folds=2), seed=0)


@pytest.fixture(scope="module")
def her() -> PersonWindows:
    """Her classes come in turns of ten windows and are written all over her features."""
    labels = np.arange(60) // 10 % 3
    who = labelled(person("her", 9, lost=0.0), labels)
    for values in who.features.values():
        values += 10.0 * labels[:, None, None]
    return who


def test_what_is_better_on_labels_not_seen_replaces_the_model_in_use(group: GroupModel, her: PersonWindows) -> None:
    rows = np.arange(2, 60, 3)
    verdict = judge(group, her, rows, np.full(len(rows), NOBODY), QUICK, gap_s=0.0, seed=0)
    assert verdict.accepted
    assert (verdict.before, verdict.labels) == (0.0, len(rows))
    shares = np.bincount(her.labels[rows]) / len(rows)
    commonest = shares.max()
    assert verdict.constant == pytest.approx(2 * commonest / (1 + commonest) / 3)
    assert verdict.after > 0.6
    assert verdict.reason.startswith("better on 20 held-out labels")


def test_a_model_that_is_always_right_stays(group: GroupModel, her: PersonWindows) -> None:
    rows = np.arange(2, 60, 3)
    verdict = judge(group, her, rows, her.labels[rows], QUICK, gap_s=0.0, seed=0)
    assert not verdict.accepted
    assert verdict.before == 1.0
    assert verdict.reason.startswith("not better")


def test_engagement_that_comes_in_long_blocks_is_no_reason_to_refuse(group: GroupModel, her: PersonWindows) -> None:
    """A session that begins low and ends high: held out as a stretch, a level would be one never seen."""
    labels = np.arange(60) // 20
    long = labelled(her, labels)
    for modality, values in long.features.items():
        values += 10.0 * (labels - her.labels)[:, None, None]
        assert modality in her.features
    rows = np.arange(2, 60, 5)
    verdict = judge(group, long, rows, np.ones(len(rows), np.int64), QUICK, gap_s=0.0, seed=0)
    assert verdict.accepted, verdict.reason


def test_labels_that_hold_shortly_need_a_short_gap(group: GroupModel) -> None:
    assert gap_between(replace(group, persistence_s=4.0)) == 4.0
    assert gap_between(replace(group, persistence_s=1200.0)) == 20.0


def test_labels_without_meaning_change_nothing(group: GroupModel, her: PersonWindows) -> None:
    """An expert who throws dice: the candidate cannot know the labels held out, so it is not better than chance."""
    random = np.random.default_rng(1)
    dice = labelled(her, random.permutation(her.labels))
    rows = np.arange(0, 60, 2)
    assert judge(group, dice, rows, np.full(30, NOBODY), QUICK, gap_s=0.0, seed=0).after < 0.55


def test_near_copies_of_what_is_held_out_are_not_learned_from(
    group: GroupModel, her: PersonWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mmal_ros.training.person.acceptance as acceptance

    learned: list[np.ndarray] = []
    real = acceptance.personalise

    def spy(group: GroupModel, pool: PersonWindows, chosen: list[np.ndarray], *rest: object, **more: object) -> object:
        learned.extend(chosen)
        return real(group, pool, chosen, *rest, **more)

    monkeypatch.setattr(acceptance, "personalise", spy)
    rows = np.arange(0, 60, 3)
    gap_s = float(her.times_s[4] - her.times_s[0])
    judge(group, her, rows, her.labels[rows], QUICK, gap_s, seed=0)
    for part, taught in zip([rows[i::4] for i in range(4)], learned, strict=True):
        assert len(taught)
        assert np.abs(her.times_s[taught][:, None] - her.times_s[part]).min() > gap_s


def test_what_the_model_in_use_knows_by_heart_is_not_compared_but_learned_from(
    group: GroupModel, her: PersonWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Her first thirty windows were learned from before; labels come in any order."""
    import mmal_ros.training.person.acceptance as acceptance

    learned: list[np.ndarray] = []
    real = acceptance.personalise

    def spy(group: GroupModel, pool: PersonWindows, chosen: list[np.ndarray], *rest: object, **more: object) -> object:
        learned.extend(chosen)
        return real(group, pool, chosen, *rest, **more)

    monkeypatch.setattr(acceptance, "personalise", spy)
    rows = np.random.default_rng(0).permutation(np.arange(0, 60, 2))
    right_by_heart = np.where(rows < 30, her.labels[rows], NOBODY)
    verdict = judge(group, her, rows, right_by_heart, QUICK, 0.0, seed=0, known=rows < 30)
    assert (verdict.before, verdict.labels, verdict.accepted) == (0.0, 15, True)
    for taught in learned:
        assert set(range(0, 30, 2)) <= set(taught.tolist())
    few = judge(group, her, rows, right_by_heart, QUICK, 0.0, seed=0, known=rows < 50)
    assert few.reason == "5 labels that were not learned from before; 8 are needed to compare"


@pytest.mark.parametrize(
    ("rows", "gap_s", "why"),
    [(np.arange(7), 0.0, "7 labels; 8 are needed"), (np.arange(60), 1e6, "within 1e\\+06 s of one another")],
)
def test_what_cannot_be_compared_does_not_replace(
    group: GroupModel, her: PersonWindows, rows: np.ndarray, gap_s: float, why: str
) -> None:
    verdict = judge(group, her, rows, her.labels[rows], QUICK, gap_s, seed=0)
    assert not verdict.accepted
    assert np.isnan(verdict.after)
    assert re.search(why, verdict.reason)


def test_macro_f1_by_hand() -> None:
    """Class 0: 2 of 3 found, none claimed wrongly: 4/5. Class 1: its only one found, one claimed wrongly: 2/3."""
    assert score(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).f1_present == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert score(np.array([0, 1]), np.array([NOBODY, NOBODY])).f1_present == 0.0


def test_no_label_speaks_for_what_is_held_out(
    group: GroupModel, her: PersonWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The product spreads labels over the windows around them, but not over those held out and their near copies."""
    import mmal_ros.training.person.personalise as module

    lessons: list[np.ndarray] = []
    real = module._lesson

    def spy(weights: np.ndarray, labelled: np.ndarray, most: int) -> object:
        lesson = real(weights, labelled, most)
        lessons.append(lesson[0])
        return lesson

    monkeypatch.setattr(module, "_lesson", spy)
    rows, gap_s = np.arange(0, 60, 3), 2.0
    slow = replace(group, persistence_s=20.0)
    judge(slow, her, rows, her.labels[rows], replace(QUICK, spreads=True), gap_s, seed=0)
    assert len(lessons) == 4
    for part, learned in zip([rows[i::4] for i in range(4)], lessons, strict=True):
        assert len(learned) > len(rows) - len(part), "labels speak for others, too"
        assert np.abs(her.times_s[learned][:, None] - her.times_s[part]).min() > gap_s


def test_the_reason_names_what_a_constant_answer_gets(group: GroupModel, her: PersonWindows) -> None:
    rows = np.arange(2, 60, 3)
    verdict = judge(group, her, rows, np.full(len(rows), NOBODY), QUICK, gap_s=0.0, seed=0)
    assert verdict.reason.endswith(f", always giving the commonest answer {verdict.constant:.2f}")
