from datetime import date

import pytest

from harbor.berths import Berth, Full, book

JUNE = [date(2026, 6, day) for day in range(1, 30)]


def test_a_boat_gets_the_shortest_berth_that_fits():
    berths = [Berth("A1", 14), Berth("B2", 9), Berth("C3", 11)]

    assert book(berths, "Petrel", 8.5, JUNE[0], JUNE[2]).name == "B2"


def test_two_boats_do_not_share_a_night():
    berths = [Berth("A1", 10)]
    book(berths, "Petrel", 8, JUNE[0], JUNE[3])

    with pytest.raises(Full):
        book(berths, "Gannet", 8, JUNE[2], JUNE[5])


def test_a_berth_is_free_again_on_the_day_of_departure():
    berths = [Berth("A1", 10)]
    book(berths, "Petrel", 8, JUNE[0], JUNE[3])

    assert book(berths, "Gannet", 8, JUNE[3], JUNE[5]).name == "A1"


def test_a_stay_needs_a_night():
    with pytest.raises(ValueError, match="one night"):
        book([Berth("A1", 10)], "Petrel", 8, JUNE[3], JUNE[3])
