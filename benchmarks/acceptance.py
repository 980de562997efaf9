"""Whether a new model should replace the one in use: how often `judge` says what later windows of the person show.

    python benchmarks/acceptance.py swell-kw --folder ../shared/data/swell-kw
    python benchmarks/acceptance.py stress-predict --folder ../shared/data/stress-predict --gaps 0,20,auto
    python benchmarks/acceptance.py simulated --folder FOLDER    # PERSON-1.npz and PERSON-2.npz, see --help

For every person and seed the default selector asks for labels in the first part of her time, `judge` compares a
candidate with the model for everybody on labels held out, and the windows that come later say who was right. Three
ways of working stand side by side: never to switch, always, and as `judge` says.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from report import publish

from mmal_ros.features.recording import read_recording
from mmal_ros.models import ModelSet, load_model_set
from mmal_ros.paths import find_model
from mmal_ros.selector import DEFAULT
from mmal_ros.sensors.simulated import simulated_session
from mmal_ros.training.data import load_data_set
from mmal_ros.training.data.cutting import cut, middles_s
from mmal_ros.training.evaluation.cell import candidates_of
from mmal_ros.training.evaluation.protocol import time_blocked
from mmal_ros.training.export.groups import read_group
from mmal_ros.training.group.models import GroupModel, GroupSettings
from mmal_ros.training.group.store import stored_group
from mmal_ros.training.metrics import score
from mmal_ros.training.people import PersonWindows
from mmal_ros.training.person.acceptance import gap_between, judge
from mmal_ros.training.person.personalise import PRODUCT, Personalised, group_only, personalise
from mmal_ros.training.pool_selection import make_selector

AUTOMATIC = "auto"
SIMULATED = "simulated"


@dataclass(frozen=True, eq=False)
class Case:
    """A person whom the group has not seen: what may be asked about, and what comes later."""

    group: GroupModel
    pool: PersonWindows
    later: PersonWindows


@dataclass(frozen=True)
class Told:
    """One verdict, and what the later windows showed."""

    accepted: bool
    before: float
    after: float


def main() -> None:
    """Ask, judge, look what came later."""
    options = _options()
    cases = list(_simulated(options.folder) if options.data_set == SIMULATED else _published(options))
    rows = {}
    for budget in options.budgets:
        for gap in options.gaps:
            told = [_tell(case, budget, gap, seed) for case in cases for seed in range(options.seeds)]
            rows[f"{budget} labels, gap {gap}"] = _row(told)
    publish(f"acceptance-{options.data_set}", rows, "never, always, as judged: macro-F1 on later windows, mean")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_set", help=f"of `mmal evaluate`, or {SIMULATED}: recordings of simulated children")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--budgets", type=_numbers, default=[10, 20])
    parser.add_argument("--gaps", type=lambda text: text.split(","), default=["0", "20", AUTOMATIC], help="seconds")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _published(options: argparse.Namespace) -> Iterator[Case]:
    """Leave one person out; the first 60 % of her blocks are asked about."""
    data = load_data_set(options.data_set, options.folder)
    for person in data.people:
        others = data.group_without(person.code)
        group = stored_group(others, data.fingerprint(), GroupSettings(), 0, fused=True)
        split = time_blocked(person, data.gap_s)
        pool = split.pool[np.argsort(person.times_s[split.pool], kind="stable")]
        yield Case(group, person.take(pool), person.take(split.test))


def _simulated(folder: Path) -> Iterator[Case]:
    """Two sessions of each child, made by `mmal run --fast --camera synthetic:unlike-1000/1 … --save-features`."""
    models = load_model_set(find_model("demo"))
    group = read_group(models)
    for first in sorted(folder.glob("*-1.npz")):
        code = first.name.removesuffix("-1.npz")
        pool, later = (_session(folder / f"{code}-{number}.npz", int(code), number, models) for number in (1, 2))
        yield Case(group, pool, later)


def _session(path: Path, code: int, number: int, models: ModelSet) -> PersonWindows:
    recording = read_recording(path)
    windows = cut(recording, models.card.feature_sets)
    times_s = middles_s(windows.ends_ns, recording.start_ns)
    truth = simulated_session(code, number, unlike=True)[1]
    labels = np.array([int(truth.level_at(max(time_s, 0.0))) for time_s in times_s])
    blocks = np.zeros(len(labels), np.int64)
    return PersonWindows(str(code), dict(windows.features), dict(windows.mask), labels, times_s, blocks)


def _tell(case: Case, budget: int, gap: str, seed: int) -> Told:
    random = partial(np.random.default_rng, [seed, budget])
    rows = make_selector(DEFAULT, {}).select(candidates_of(case.group, case.pool), budget, random())
    in_use = group_only(case.group, case.pool)
    answers = in_use.opinions(case.pool.take(rows)).levels[0]
    gap_s = gap_between(case.group) if gap == AUTOMATIC else float(gap)
    verdict = judge(case.group, case.pool, rows, answers, PRODUCT, gap_s, seed)
    learned = personalise(case.group, case.pool, [rows], PRODUCT, seed)
    return Told(verdict.accepted, *(_later(model, case) for model in (in_use, learned)))


def _later(model: Personalised, case: Case) -> float:
    return score(case.later.labels, model.opinions(case.later).levels[0]).f1_present


def _row(told: list[Told]) -> dict[str, float | int]:
    accepted = np.array([one.accepted for one in told])
    before, after = np.array([one.before for one in told]), np.array([one.after for one in told])
    return {
        "n": len(told),
        "better": float((after > before).mean()),
        "accepted": float(accepted.mean()),
        "accepted if better": float(accepted[after > before].mean()) if (after > before).any() else np.nan,
        "accepted if not": float(accepted[after <= before].mean()) if (after <= before).any() else np.nan,
        "never": float(before.mean()),
        "always": float(after.mean()),
        "as judged": float(np.where(accepted, after, before).mean()),
    }


if __name__ == "__main__":
    main()
