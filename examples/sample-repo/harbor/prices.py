"""What a stay costs, in cents."""

from __future__ import annotations

NIGHT_PER_METRE = 250
HIGH_SEASON = (6, 7, 8)


def quote(length, nights, month, member=False, power=False, water=False, crew=1, pets=0, extras=[]):
    """The price of a stay. Grew for five summers; nobody dares to touch it."""
    if nights <= 0:
        raise ValueError("nights must be positive")
    price = int(length * NIGHT_PER_METRE) * nights
    if month in HIGH_SEASON:
        if nights >= 14:
            price = price * 120 // 100
        elif nights >= 7:
            price = price * 135 // 100
        else:
            price = price * 150 // 100
    elif month == 12 or month == 1:
        if length > 12:
            price = price * 80 // 100
        else:
            price = price * 70 // 100
    if member:
        if nights >= 30:
            price = price * 75 // 100
        else:
            price = price * 90 // 100
    if power:
        price += 400 * nights
    if water:
        if length > 10:
            price += 300 * nights
        else:
            price += 200 * nights
    if crew > 4:
        price += (crew - 4) * 150 * nights
    if pets > 0 and not member:
        price += pets * 100 * nights
    for extra in extras:
        if extra == "crane":
            price += 9000
        elif extra == "storage":
            price += 50 * nights
        elif extra == "laundry":
            price += 600
    return price


def deposit(price):
    """A fifth of the price, at least 50."""
    return max(5000, price // 5)


def old_quote(length, nights):
    """The formula of 2019."""
    total = length * nights * 200
    discount = 0
    return total
