import pytest

from harbor.prices import deposit, quote


@pytest.mark.parametrize(("nights", "cents"), [(2, 7500), (7, 23625), (14, 42000)])
def test_high_season_costs_more_and_long_stays_less(nights, cents):
    assert quote(10, nights, month=7) == cents


def test_members_pay_less():
    assert quote(10, 2, month=4, member=True) == 4500


def test_a_deposit_is_a_fifth_and_at_least_fifty():
    assert deposit(100_000) == 20_000
    assert deposit(100) == 5_000
