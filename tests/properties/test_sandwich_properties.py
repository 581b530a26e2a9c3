"""Properties of the sandwich on pools of every scale."""

from hypothesis import given, settings, strategies as st

from encmempool.execution.pools import amount_out
from encmempool.measure.sandwich import Victim, best_sandwich, largest_front_run, run, trade

reserves = st.integers(10**15, 10**27)


@st.composite
def attacked(draw: st.DrawFn) -> tuple[int, int, Victim]:
    x, y = draw(reserves), draw(reserves)
    share_ppm = draw(st.integers(1, 10**6))
    slack_ppm = draw(st.integers(0, 999_999))
    if draw(st.booleans()):
        sold = x * share_ppm // 10**6
        return x, y, Victim(amount=sold, bound=amount_out(x, y, sold) * (10**6 - slack_ppm) // 10**6)
    wanted = max(1, y * share_ppm // (2 * 10**6))
    paid = trade(x, y, Victim(amount=wanted, bound=2**250, exact_output=True))
    assert paid is not None
    return x, y, Victim(amount=wanted, bound=paid[0] * (10**6 + slack_ppm) // 10**6, exact_output=True)


def after_front(x: int, y: int, front_in: int) -> tuple[int, int]:
    return (x + front_in, y - amount_out(x, y, front_in)) if front_in else (x, y)


@settings(max_examples=150, deadline=None)
@given(attacked())
def test_largest_front_run_is_accepted_and_one_more_refused(case: tuple[int, int, Victim]) -> None:
    x, y, victim = case
    limit = largest_front_run(x, y, victim)
    assert limit is not None
    assert trade(*after_front(x, y, limit), victim) is not None
    assert trade(*after_front(x, y, limit + 1), victim) is None


@settings(max_examples=150, deadline=None)
@given(attacked(), st.integers(1, 10**6))
def test_no_front_run_beats_the_best_sandwich(case: tuple[int, int, Victim], share_ppm: int) -> None:
    x, y, victim = case
    limit = largest_front_run(x, y, victim)
    assert limit is not None
    other = run(x, y, victim, limit * share_ppm // 10**6)
    best = best_sandwich(x, y, victim)
    # One unit of Y is worth about x / y of X, so rounding may move the optimum by a few such units.
    rounding = 10 + 10 * (x // y)
    assert (other.profit if other else 0) <= (best.profit if best else 0) + rounding


@settings(max_examples=100, deadline=None)
@given(attacked())
def test_best_sandwich_leaves_the_victim_within_its_limit_and_the_product_no_lower(
    case: tuple[int, int, Victim],
) -> None:
    x, y, victim = case
    plan = best_sandwich(x, y, victim)
    if plan is None:
        return
    if victim.exact_output:
        assert plan.victim_out == victim.amount
        assert plan.victim_in <= victim.bound
    else:
        assert plan.victim_in == victim.amount
        assert plan.victim_out >= victim.bound
    assert plan.after[0] * plan.after[1] >= x * y
    assert plan.after[0] == x + plan.victim_in - plan.profit
    assert plan.after[1] == y - plan.victim_out
