"""Times of statuses, as the Kubernetes API writes them, and as POSIX seconds.

The core does not import `datetime`, because that module can read the clock. The days are counted
from March on, so that a leap day is the last day of its year.
Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
"""

from __future__ import annotations

import re
from typing import Final

_TIMESTAMP: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?Z")
_DAY: Final = 86_400
_DAYS_OF_400_YEARS: Final = 146_097
_DAYS_UNTIL_1970: Final = 719_468
"""Since 0000-03-01."""


def posix_seconds(timestamp: str) -> int | None:
    """The POSIX time of a timestamp in UTC; None if it is not one. Fractions are cut off.

    >>> posix_seconds("2026-07-01T12:00:00Z")
    1782907200
    """
    found = _TIMESTAMP.fullmatch(timestamp)
    if found is None:
        return None
    year, month, day, hours, minutes, seconds = map(int, found.groups())
    year -= month <= 2
    days = 365 * year + year // 4 - year // 100 + year // 400
    days += (153 * ((month - 3) % 12) + 2) // 5 + day - 1 - _DAYS_UNTIL_1970
    return _DAY * days + 3600 * hours + 60 * minutes + seconds


def timestamp_of(posix: float) -> str:
    """A POSIX time as a timestamp in UTC, rounded up to a whole second.

    >>> timestamp_of(1782907199.5)
    '2026-07-01T12:00:00Z'
    """
    days, second = divmod(int(-(-posix // 1)), _DAY)
    era, day = divmod(days + _DAYS_UNTIL_1970, _DAYS_OF_400_YEARS)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    year += 400 * era + (month >= 10)
    date = f"{year:04}-{(month + 2) % 12 + 1:02}-{day - (153 * month + 2) // 5 + 1:02}"
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"
