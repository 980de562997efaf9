"""Choosing while the session runs: what every live policy keeps to, and what each does."""

from __future__ import annotations

from collections import Counter
from functools import cache, partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmal_ros.datatypes import NANOSECONDS_PER_SECOND, Level, Modality
from mmal_ros.selector import Candidates, SelectorError, SlicedCoverage, margin
from mmal_ros.selector.coverage import distances
from mmal_ros.selector.live import LiveSelector
from mmal_ros.selector.live_coverage import LiveCoverage
from mmal_ros.selector.live_memory import Memory
from mmal_ros.selector.live_policies import LiveBest, LiveFirstAsked
from mmal_ros.selector.live_registry import LIVE_POLICIES, make_live_policy
from mmal_ros.selector.live_slices import Slices
from mmal_ros.selector.live_vocabulary import PERSON, RECENT, Decision, LiveWindow, Room, Standing
from mmal_ros.selector.reasons import NOBODY_SURE, TAKEN_BACK, TYPICAL, UNLIKE
from mmal_ros.selector.strategies import slices

START_NS = 1_800_000_000 * NANOSECONDS_PER_SECOND
TRAINED = {"mmql": lambda candidates: 0.1 + margin(candidates), "p-right": margin}
ALL = sorted(LIVE_POLICIES)
KINDS = ("calm", "whole modality silent", "some windows silent", "all silent", "identical", "few kinds", "one window")


@cache
def session(kind: str = "calm", count: int = 120, size: int = 4) -> list[LiveWindow]:
    """A session whose content drifts, second by second."""
    generator = np.random.default_rng(count)
    count = 1 if kind == "one window" else count
    drift = np.cumsum(generator.normal(size=(count, size)), axis=0)
    vectors = (drift / max(1.0, drift.std()) + 0.1 * generator.normal(size=(count, size))).astype(np.float32)
    probabilities = generator.dirichlet(np.ones(len(Level)), (count, len(Modality))).astype(np.float32)
    if kind == "identical":
        vectors[:], probabilities[:] = vectors[0], probabilities[0]
    if kind == "few kinds":
        vectors, probabilities = vectors[np.arange(count) % 3], probabilities[np.arange(count) % 3]
    heard = np.ones((count, len(Modality)), bool)
    if kind == "whole modality silent":
        heard[:, 0] = False
    if kind == "some windows silent":
        heard[::3] = False
    if kind == "all silent":
        heard[:] = False
    return [window(i, vectors[i], probabilities[i], heard[i]) for i in range(count)]


def window(number: int, vector=(0.0, 0.0, 0.0, 0.0), probabilities=None, heard=(True,) * 4) -> LiveWindow:
    """The `number`-th second."""
    if probabilities is None:
        probabilities = np.full((4, 3), 1 / 3)
    heard = np.array(heard, bool)
    known = np.where(heard[:, None], probabilities, 1 / 3).astype(np.float32)
    end_ns = START_NS + (number + 1) * NANOSECONDS_PER_SECOND
    return LiveWindow(10 * number, end_ns, known, heard, np.array(vector, np.float32) * heard.any())


def make(policy="sliced-coverage", budget=6, expected_s=120.0, refractory_s=5.0, seed=0, trained=TRAINED, **other):
    made = make_live_policy(policy, trained, seed) if isinstance(policy, str) else policy
    return LiveSelector(made, budget=budget, expected_s=expected_s, refractory_s=refractory_s, **other)


def play(selector: LiveSelector, windows) -> list[Decision]:
    return [decision for one in windows for decision in selector.offer(one)]


def numbers(selector: LiveSelector) -> list[int]:
    return [flag.window_id // 10 for flag in selector.flags]


def check_books(decisions: list[Decision], budget: int, refractory_s: float) -> None:
    """What must hold after every single decision, whoever made it."""
    standing: dict[int, Standing] = {}
    flagged_by_policy: list[int] = []
    most = budget
    for decision in decisions:
        flag = decision.flag
        if decision.withdrawn:
            del standing[flag.window_id]
        else:
            if flag.policy != PERSON:
                assert flag.window_id not in standing
                flagged_by_policy.append(flag.stamp_ns)
            standing[flag.window_id] = flag
        if flag.policy == PERSON:
            most = max(budget, len(standing))
        assert len(standing) <= most
        assert decision.budget_left == max(0, budget - len(standing))
    assert len(set(flagged_by_policy)) == len(flagged_by_policy), "a window twice"
    gaps = np.diff(sorted(flagged_by_policy)) / NANOSECONDS_PER_SECOND
    assert (gaps >= refractory_s).all()


# ---------------------------------------------------------------- what every policy keeps to


@pytest.mark.parametrize("policy", ALL)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("budget", [0, 1, 6, 1000])
def test_no_policy_spends_more_than_the_budget_or_flags_neighbours(policy: str, kind: str, budget: int) -> None:
    selector = make(policy, budget)
    check_books(play(selector, session(kind)), budget, 5)
    assert len(selector.flags) <= budget


@pytest.mark.parametrize("policy", ALL)
@pytest.mark.parametrize("expected_s", [20.0, 120.0, 1500.0])
def test_a_session_may_be_longer_or_shorter_than_expected(policy: str, expected_s: float) -> None:
    selector = make(policy, 6, expected_s)
    check_books(play(selector, session()), 6, 5)


@pytest.mark.parametrize("policy", sorted({*ALL} - {"fidelity"}))
def test_where_nothing_interferes_the_whole_budget_is_spent(policy: str) -> None:
    selector = make(policy)
    play(selector, session())
    assert selector.left == 0


@pytest.mark.parametrize("policy", ALL)
def test_windows_in_which_nothing_is_heard_are_not_flagged(policy: str) -> None:
    selector = make(policy, 20)
    decisions = play(selector, session("some windows silent"))
    assert decisions
    assert all(decision.flag.window_id // 10 % 3 for decision in decisions)
    assert play(make(policy), session("all silent")) == []


@pytest.mark.parametrize("policy", ALL)
def test_the_same_windows_give_the_same_decisions(policy: str) -> None:
    assert play(make(policy, seed=3), session()) == play(make(policy, seed=3), session())


@pytest.mark.parametrize("policy", ["random", "disagreement"])
def test_another_seed_may_give_others(policy: str) -> None:
    found = set()
    for seed in range(5):
        selector = make(policy, seed=seed)
        play(selector, session("identical"))
        found.add(tuple(numbers(selector)))
    assert len(found) > 1


@pytest.mark.parametrize("policy", ALL)
def test_every_flag_has_a_reason_and_says_who_decided(policy: str) -> None:
    for decision in play(make(policy), session()):
        assert decision.flag.reason
        assert decision.flag.policy == policy


@pytest.mark.parametrize("policy", ALL)
def test_a_window_that_comes_twice_or_overlaps_changes_nothing(policy: str) -> None:
    once, twice = make(policy), make(policy)
    windows = session()
    assert play(once, windows) == play(twice, [one for one in windows for _ in range(2)])


@pytest.mark.parametrize("policy", ALL)
def test_a_clock_that_is_set_back_does_not_stop_the_flags(policy: str) -> None:
    """After a minute the clock jumps back by an hour: the session goes on."""
    windows = session()
    late = [window(i - 3600, windows[i].vector, windows[i].probabilities) for i in range(60, 120)]
    selector = make(policy)
    decisions = play(selector, [*windows[:60], *late])
    check_books(decisions, 6, 5)
    assert any(decision.flag.stamp_ns < START_NS for decision in decisions) or policy == "fidelity"


ACTS = st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["flag", "take back"])), max_size=12)


@pytest.mark.parametrize("policy", ALL)
@settings(max_examples=8, deadline=None)
@given(acts=ACTS, budget=st.integers(0, 12), expected_s=st.integers(10, 200), refractory_s=st.integers(1, 20))
def test_whatever_people_do_the_books_are_right(policy, acts, budget, expected_s, refractory_s) -> None:
    selector = make(policy, budget, float(expected_s), float(refractory_s))
    decisions, back, by_hand = [], set(), set()
    for number, one in enumerate(session(count=100, size=3)):
        decisions += selector.offer(one)
        for _, act in [act for act in acts if act[0] == number]:
            if act == "flag":
                decisions.append(selector.flag_by_hand(one.id + 3, one.end_ns + 300_000_000, "flagged by hand"))
                by_hand.add(decisions[-1].flag.window_id)
                back.discard(decisions[-1].flag.window_id)
            elif selector.flags:
                decisions.append(selector.take_back(selector.flags[0].window_id))
                back.add(decisions[-1].flag.window_id)
    check_books(decisions, budget, refractory_s)
    standing = {flag.window_id for flag in selector.flags}
    assert by_hand - back <= standing, "what a person flagged was pushed out"
    assert not back & standing, "what a person took back was flagged again"


@pytest.mark.parametrize(
    "wrong", [{"budget": -1}, {"expected_s": 0.0}, {"refractory_s": 0.5}], ids=["budget", "expected", "refractory"]
)
def test_numbers_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(SelectorError, match="cannot be spent; expected 0 or more labels"):
        make(**wrong)


# ---------------------------------------------------------------- what people do


def test_the_button_works_with_nothing_left_and_counts_on_top() -> None:
    selector = make("evenly-in-time", budget=2)
    play(selector, session())
    decision = selector.flag_by_hand(1203, START_NS + 200 * NANOSECONDS_PER_SECOND, "tears")
    assert (decision.budget_left, len(selector.flags), decision.flag.policy) == (0, 3, PERSON)
    assert decision.flag.reason == "tears"


def test_the_button_takes_from_the_budget_while_there_is_some() -> None:
    """Of six labels three are spent by hand in the first slice, and one of the policy's: two are left for the rest."""
    selector = make("sliced-coverage", refractory_s=1.0)
    windows = session()
    play(selector, windows[:3])
    for number in range(3):
        selector.flag_by_hand(windows[number].id, windows[number].end_ns, "flagged by hand")
    play(selector, windows[3:])
    assert len(selector.flags) == 6
    assert [sum(first <= n < end for n in numbers(selector)) for first, end in [(0, 20), (20, 70), (70, 120)]] == [
        4,
        1,
        1,
    ]


def test_the_button_on_a_flag_makes_it_the_persons() -> None:
    selector = make("evenly-in-time", budget=2)
    windows = session()
    (decision,) = play(selector, windows[:31])
    again = selector.flag_by_hand(decision.flag.window_id + 4, decision.flag.stamp_ns + 400_000_000, "flagged by hand")
    assert again.flag.window_id == decision.flag.window_id
    assert len(selector.flags) == 1
    assert again.budget_left == 1


def test_what_a_person_flagged_is_covered() -> None:
    """The child does A and B in turn; the therapist flags an A, between two windows: the policy asks about a B."""
    windows = [window(i, np.full(4, 50.0 * (i % 2))) for i in range(10)]
    selector = make(budget=2, expected_s=20.0, refractory_s=1.0, trained={})
    play(selector, windows[:1])
    selector.flag_by_hand(windows[0].id + 3, windows[0].end_ns + 300_000_000, "flagged by hand")
    (decision,) = play(selector, windows[1:])
    assert decision.flag.window_id // 10 % 2 == 1


def test_a_person_keeps_what_a_better_moment_would_push_out() -> None:
    """The budget is one label: without the button a later window takes it, with the button none does."""
    windows = [window(i, (9.0 * i, 0) if i < 10 else (1000 + 0.01 * i, 0)) for i in range(60)]
    alone, kept = make(budget=1, expected_s=12.0), make(budget=1, expected_s=12.0)
    play(alone, windows)
    assert numbers(alone)[0] > 9
    decisions = play(kept, windows[:9])
    kept.flag_by_hand(decisions[-1].flag.window_id, decisions[-1].flag.stamp_ns, "flagged by hand")
    assert play(kept, windows[9:]) == []


def test_what_is_taken_back_frees_its_label_and_is_left_alone() -> None:
    selector = make("entropy", budget=1, expected_s=10.0)
    windows = session()
    (first,) = play(selector, windows[:1])
    back = selector.take_back(first.flag.window_id)
    assert (back.withdrawn, back.flag.reason, back.flag.policy, back.budget_left) == (True, TAKEN_BACK, PERSON, 1)
    later = play(selector, windows[1:])
    assert later
    assert min(decision.flag.stamp_ns for decision in later) >= first.flag.stamp_ns + 5 * NANOSECONDS_PER_SECOND


def test_what_is_not_flagged_cannot_be_taken_back() -> None:
    selector = make("entropy", budget=1)
    with pytest.raises(SelectorError, match="window 7 is not flagged; nothing is"):
        selector.take_back(7)
    selector.offer(window(3))
    with pytest.raises(SelectorError, match="window 7 is not flagged; flagged are 30"):
        selector.take_back(7)


def test_flags_from_before_a_restart_count_and_stay() -> None:
    """The node died after an hour: of its four flags one was withdrawn; what the new one says itself is not counted."""
    selector = make("sliced-coverage", budget=4, expected_s=120.0, elapsed_s=60.0)
    windows = session()
    for number, withdrawn in [(5, False), (20, False), (20, True), (33, False)]:
        selector.count_in(10 * number, windows[number].end_ns, withdrawn=withdrawn)
    assert numbers(selector) == [5, 33]
    play(selector, windows[60:])
    (own, *_) = [flag for flag in selector.flags if flag.policy != PERSON]
    selector.count_in(own.window_id, own.stamp_ns, withdrawn=True)
    assert own in selector.flags
    assert len(selector.flags) == 4
    assert {5, 33} < set(numbers(selector))
    assert selector.take_back(330).budget_left == 1


# ---------------------------------------------------------------- slices


def room(elapsed: int, expected: int, budget: int, flags: int = 0) -> Room:
    standing = tuple(Standing(i, i, "x", 0.0, "") for i in range(flags))
    return Room(elapsed, expected, budget, standing, (), 0)


@given(st.integers(1, 40), st.integers(1, 300))
def test_undisturbed_slices_are_those_of_the_off_line_selectors(budget: int, more: int) -> None:
    expected = budget + more
    running, found = Slices(), []
    for elapsed in range(expected):
        found.append(running.at(room(elapsed, expected, budget, flags=len(set(found)))))
        if len(set(found)) > len(set(found[:-1])):  # the flag of a slice comes within it
            assert found[-1].first == elapsed
    off_line = [(int(rows[0]), int(rows[-1]) + 1) for rows in slices(expected, budget)]
    assert sorted({(one.first, one.end) for one in found}) == off_line


def test_beyond_the_expected_end_slices_grow_with_the_session() -> None:
    """Two minutes were expected for twelve labels: slices of ten seconds. After four minutes they are of twenty."""
    assert [Slices().at(room(elapsed, 120, 12, flags=12)).length for elapsed in (60, 120, 240)] == [10, 10, 20]


def test_a_silent_slice_costs_no_label() -> None:
    """Nothing is heard in the first half: its three labels are spent in the second."""
    windows = session()
    quiet = [window(i, heard=(False,) * 4) for i in range(60)]
    selector = make()
    play(selector, [*quiet, *windows[60:]])
    assert len(selector.flags) == 6
    assert min(numbers(selector)) >= 60


def test_a_session_that_ends_early_has_spent_its_share() -> None:
    for policy in ("sliced-coverage", "entropy", "evenly-in-time"):
        selector = make(policy, budget=10)
        play(selector, session()[:60])
        assert len(selector.flags) == 5, policy


# ---------------------------------------------------------------- coverage


def off_line(windows, budget: int) -> list[int]:
    candidates = Candidates(
        np.stack([one.probabilities for one in windows]),
        np.stack([one.heard for one in windows]),
        np.stack([one.vector for one in windows]),
        np.arange(len(windows), dtype=float),
    )
    return SlicedCoverage().select(candidates, budget, np.random.default_rng(0)).tolist()


def coverage(windows, chosen) -> float:
    """Likeness of the windows to the nearest chosen one, 0-1, on average."""
    vectors = np.stack([one.vector for one in windows])
    away = distances(vectors, vectors)
    return float(np.exp(-away[chosen].min(axis=0) / np.quantile(away, 0.1)).mean())


def test_live_coverage_covers_nearly_what_it_would_cover_off_line_and_more_than_chance() -> None:
    """Sessions of ten minutes with twelve labels. On real people: docs/performance.md."""
    shares, chances = [], []
    for count in (600, 601, 602, 603):
        windows = session(count=count)
        selector = make("sliced-coverage", budget=12, expected_s=float(count), trained={})
        decisions = play(selector, windows)
        best = coverage(windows, off_line(windows, 12))
        shares.append(coverage(windows, numbers(selector)) / best)
        chances.append(coverage(windows, [int(rows[len(rows) // 2]) for rows in slices(count, 12)]) / best)
        assert [sum(n in rows for n in numbers(selector)) for rows in slices(count, 12)] == [1] * 12
        assert sum(not decision.withdrawn for decision in decisions) <= 3 * 12
    assert np.mean(shares) > 0.95
    assert np.mean(shares) > np.mean(chances)


def test_what_is_new_is_flagged_and_said_to_be_new() -> None:
    """In the second half the child does something that it never did before."""
    generator = np.random.default_rng(0)
    windows = [window(i, generator.normal(size=5) + (10 if i >= 20 else 0)) for i in range(40)]
    selector = make(budget=2, expected_s=40.0)
    play(selector, windows)
    first, second = selector.flags
    assert first.window_id < 200 <= second.window_id
    assert second.reason.startswith(UNLIKE)


def test_only_the_last_few_windows_can_be_flagged() -> None:
    """A clip can be cut only of what the recorder still has in memory."""
    selector = make("sliced-coverage", refractory_s=1.0)
    for one in session(count=600):
        for decision in selector.offer(one):
            if not decision.withdrawn:
                assert 0 <= one.end_ns - decision.flag.stamp_ns < RECENT * NANOSECONDS_PER_SECOND


def test_after_a_gap_nothing_from_before_it_is_flagged() -> None:
    """No estimates for a minute: the windows before are out of the recorder's memory."""
    windows = [*session()[:7], *(window(i) for i in (70, 71))]
    selector = make(LiveCoverage(), budget=1, expected_s=24.0)
    decisions = play(selector, windows)
    assert decisions
    assert all(decision.flag.window_id >= 700 for decision in decisions)


def test_a_longer_session_pushes_out_what_is_missed_least() -> None:
    """Expected are 60 s: the labels go to A and B. Then comes C, which is new: one of two flags on A goes, not B's."""
    place = {"A": (0.0, 0.0), "B": (50.0, 0.0), "C": (0.0, 80.0)}
    kinds = "A" * 40 + "B" * 20 + "C" * 60
    windows = [window(i, place[kind]) for i, kind in enumerate(kinds)]
    selector = make(budget=3, expected_s=60.0, trained={})
    play(selector, windows[:60])
    assert [kinds[number] for number in numbers(selector)] == ["A", "A", "B"]
    play(selector, windows[60:])
    assert [kinds[number] for number in numbers(selector)] == ["A", "B", "C"]


def test_of_windows_that_cover_about_as_much_the_policy_decides() -> None:
    """All windows are alike; the policy would rather ask about the one whose face is most unsure."""
    unsure = np.full((4, 3), 1 / 3)
    sure = np.tile([0.9, 0.05, 0.05], (4, 1))
    windows = [window(i, (0.0, 0.0), unsure if i == 5 else sure) for i in range(8)]
    with_policy, without = LiveCoverage(margin), LiveCoverage()
    chosen = {}
    for policy in (with_policy, without):
        selector = make(policy, budget=1, expected_s=20.0)
        play(selector, windows)
        chosen[policy] = selector.flags[0]
    assert chosen[with_policy].window_id == 50
    assert chosen[with_policy].reason == f"{TYPICAL}; {NOBODY_SURE}"
    assert chosen[without].window_id != 50
    assert chosen[without].reason == TYPICAL


def test_the_flags_of_a_much_longer_session_are_spread_over_all_of_it() -> None:
    """Five times as long as expected, and longer than what is remembered of it one by one."""
    windows = session(count=3000)
    selector = make(budget=12, expected_s=600.0, trained={})
    play(selector, windows)
    in_quarters = Counter(number // 750 for number in numbers(selector))
    assert all(in_quarters[quarter] >= 1 for quarter in range(4)), in_quarters


def test_the_utility_is_how_many_windows_are_newly_covered(monkeypatch) -> None:
    """Of 21 windows, all alike, every second one is remembered."""
    monkeypatch.setattr("mmal_ros.selector.live_coverage.Memory", partial(Memory, most=16))
    selector = make(budget=1, expected_s=60.0, trained={})
    (decision,) = play(selector, [window(i) for i in range(40)])
    assert decision.flag.utility == pytest.approx(22)


def test_memory_is_thinned_evenly_and_distances_stay_right() -> None:
    vectors = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    memory = Memory(3, most=16)
    for number, vector in enumerate(vectors):
        memory.add(number, number, vector)
        memory.watch_only({0, 1, number} & set(range(number + 1)))
    assert memory.every == 8
    kept = np.arange(0, 100, 8)
    assert memory.before(50).tolist() == (kept < 50).tolist()
    assert memory.away([0, 1, 99]) == pytest.approx(distances(vectors[[0, 1, 99]], vectors[kept]), abs=1e-5)
    memory.same(500, 99)
    assert 500 in memory
    assert (memory.away([500]) == memory.away([99])).all()


# ---------------------------------------------------------------- the other policies


def by_first_feature(candidates: Candidates) -> np.ndarray:
    return candidates.features[:, 0]


def test_fidelity_takes_the_first_that_the_policy_asks_about_and_then_no_more() -> None:
    worth = [-1, -1, 1, -1, -1, -1, -1, 5, -1, -1, -1, -1, 9]
    selector = make(LiveFirstAsked(by_first_feature, "fidelity"), budget=2)
    play(selector, [window(i, (value, 0)) for i, value in enumerate(worth)])
    assert numbers(selector) == [2, 7]


def test_the_best_end_up_flagged_though_they_come_late() -> None:
    generator = np.random.default_rng(0)
    worth = generator.normal(size=200)
    worth[[30, 90, 170, 190]] = [7, 8, 9, 10]
    selector = make(LiveBest(by_first_feature, "best", seed=0), budget=4, expected_s=200.0)
    decisions = play(selector, [window(i, (value, 0)) for i, value in enumerate(worth)])
    assert numbers(selector) == [30, 90, 170, 190]
    assert sum(not decision.withdrawn for decision in decisions) < 4 * 6


def test_equal_ones_are_drawn_lots_for_so_that_no_stretch_is_preferred() -> None:
    found = Counter()
    for seed in range(40):
        selector = make(LiveBest(by_first_feature, "best", seed=seed), budget=2, expected_s=90.0)
        play(selector, [window(i) for i in range(90)])
        found.update(number // 30 for number in numbers(selector))
    assert min(found[third] for third in range(3)) >= 10, found


def test_random_moments_are_spread_over_sessions_of_any_length() -> None:
    """Of 40 sessions, three times as long as expected, each third has about a third of the flags."""
    found = Counter()
    for seed in range(40):
        selector = make("random", budget=4, expected_s=60.0, seed=seed)
        play(selector, [window(i) for i in range(180)])
        assert len(selector.flags) == 4
        found.update(number // 60 for number in numbers(selector))
    assert all(30 <= found[third] <= 80 for third in range(3)), found


def test_evenly_in_time_takes_the_middles() -> None:
    selector = make("evenly-in-time", budget=4, expected_s=80.0)
    play(selector, [window(i) for i in range(80)])
    assert numbers(selector) == [10, 30, 50, 70]


def test_evenly_in_time_stays_even_in_a_session_four_times_as_long() -> None:
    """Forty seconds a label would be even; no gap is twice that."""
    selector = make("evenly-in-time", budget=12, expected_s=120.0)
    play(selector, [window(i) for i in range(480)])
    assert len(selector.flags) == 12
    assert max(np.diff([0, *numbers(selector), 480])) <= 80


# ---------------------------------------------------------------- by name


def test_a_misspelt_policy_is_answered_with_the_right_name() -> None:
    with pytest.raises(SelectorError, match=r"no live policy 'fidelty'; did you mean 'fidelity'\?"):
        make_live_policy("fidelty", {})


def test_a_policy_that_the_model_set_lacks_is_answered_with_what_to_do() -> None:
    with pytest.raises(
        SelectorError, match="'fidelity' needs the trained criterion 'mmql', which this model set lacks"
    ):
        make_live_policy("fidelity", {})


def test_the_default_does_without_a_trained_policy() -> None:
    assert make_live_policy("sliced-coverage", {}).name == "sliced-coverage"
