"""How well an exported model set does on people that it has not seen, asked through the code that also runs live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from sklearn.metrics import roc_auc_score

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Estimate, Modality, Status
from mmal_ros.engagement import EngagementEstimator
from mmal_ros.models import ModelSet
from mmal_ros.selector import MMQL, P_RIGHT, Candidates
from mmal_ros.training.data.cutting import WINDOW_S
from mmal_ros.training.metrics import NO_ANSWER, Score, constant, majority, score
from mmal_ros.training.people import PersonWindows
from mmal_ros.window_columns import WindowColumns

Levels = NDArray[np.int64]
DIGITS = 3
VOTE, CONSTANT = "vote", "constant"
CRITERIA = {MMQL: "selector", P_RIGHT: "vote_right"}
"""Names of the trained criteria: what the card calls them."""


def measured(models: ModelSet, people: Sequence[PersonWindows]) -> dict[str, Any]:
    """What the card says under `metrics`; people are of codes, never of names.

    A modality alone is measured where it is heard. The vote is measured on all windows, and no answer is a wrong one.
    The constant answers the commonest class of these very windows: the most that any constant could get.
    """
    estimates = [estimate for person in people for estimate in estimates_of(models, person)]
    truth = np.concatenate([person.labels for person in people])
    answers = levels_of(estimates)
    ends = np.cumsum([len(person) for person in people])[:-1]
    by_person = zip(people, np.split(truth, ends), np.split(answers, ends), strict=True)
    return {
        "windows": len(truth),
        "people": len(people),
        **{modality.value: _modality(modality, estimates, truth) for modality in models.classifiers},
        VOTE: _scores(truth, answers),
        CONSTANT: _constant(truth),
        "by_person": {p.code: {VOTE: _scores(*rows), CONSTANT: _constant(rows[0])} for p, *rows in by_person},
        **{CRITERIA[name]: _criterion(models, name, estimates, truth != answers) for name in models.trained},
    }


def levels_of(estimates: Sequence[Estimate]) -> Levels:
    """(N,) the level of each, `NO_ANSWER` where it has none."""
    return np.array([NO_ANSWER if e.level is None else int(e.level) for e in estimates], np.int64)


def estimates_of(models: ModelSet, person: PersonWindows) -> list[Estimate]:
    """What the runtime says of each window, with the votes that it would have had live."""
    ends_ns = np.round((person.times_s + WINDOW_S / 2) * NANOSECONDS_PER_SECOND).astype(np.int64).tolist()
    known = {modality: mask.any(axis=1).tolist() for modality, mask in person.mask.items()}
    columns = WindowColumns(
        id=range(len(person)),
        end_ns=ends_ns,
        features=person.features,
        mask=person.mask,
        coverage={m: mask.mean(axis=1, dtype=np.float64).tolist() for m, mask in person.mask.items()},
        newest_ns={
            m: [end if any_ else None for end, any_ in zip(ends_ns, of_one, strict=True)] for m, of_one in known.items()
        },
        frames_seen={},
    )
    return EngagementEstimator(models).estimate_columns(columns)


def metrics_table(metrics: dict[str, Any]) -> Table:
    """For the terminal."""
    table = Table("", "accuracy", "macro-F1", title=f"{metrics['people']} people that it has not seen")
    for name in (*(m.value for m in Modality if metrics.get(m.value, {}).get("heard")), VOTE, CONSTANT):
        table.add_row(name, *(f"{metrics[name][column]:.3f}" for column in ("accuracy", "macro_f1")))
    return table


def _modality(modality: Modality, estimates: Sequence[Estimate], truth: Levels) -> dict[str, float]:
    heard = np.array([estimate.status[modality] is not Status.MISSING for estimate in estimates])
    levels = np.array([int(estimate.by_modality[modality].argmax()) for estimate in estimates])
    share = {"heard": round(float(heard.mean()), DIGITS)}
    return share | _scores(truth[heard], levels[heard]) if heard.any() else share


def _scores(truth: Levels, answers: Levels) -> dict[str, float]:
    return _rounded(score(truth, answers))


def _constant(truth: Levels) -> dict[str, float]:
    return _rounded(constant(truth, majority(truth)))


def _rounded(found: Score) -> dict[str, float]:
    return {"accuracy": round(found.accuracy, DIGITS), "macro_f1": round(found.f1_all, DIGITS)}


def _criterion(
    models: ModelSet, name: str, estimates: Sequence[Estimate], wrong: NDArray[np.bool_]
) -> dict[str, float]:
    """Share of the windows it asks for, and how well it tells wrong votes from right ones: 0.5 is chance, 1 always."""
    heard = np.array(
        [[m in models.classifiers and e.status[m] is not Status.MISSING for m in Modality] for e in estimates]
    )
    probabilities = np.array([[estimate.by_modality[m] for m in Modality] for estimate in estimates], np.float32)
    unused = np.zeros((len(wrong), 1), np.float32), np.arange(len(wrong), dtype=float)  # content and times
    utility = models.trained[name](Candidates(probabilities, heard, *unused))
    found = {"asks": round(float((utility > 0).mean()), DIGITS)}
    if 0 < wrong.sum() < len(wrong):
        found["auc_of_wrong_votes"] = round(float(roc_auc_score(wrong, utility)), DIGITS)
    return found
