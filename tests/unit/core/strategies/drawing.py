"""How the strategies choose: from a pool, and mostly the common case."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import TypeVar, cast

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")


def pick(pool: tuple[T, ...]) -> SearchStrategy[T]:
    """A value of a pool.

    Cached, because making a strategy takes ten times as long as drawing from it.
    """
    return cast("SearchStrategy[T]", _cached_pool(pool))


@cache
def _cached_pool(pool: tuple[Hashable, ...]) -> SearchStrategy[Hashable]:
    return st.sampled_from(pool)


@st.composite
def mostly(draw: DrawFn, common: SearchStrategy[V], rare: SearchStrategy[V], odds: int = 9) -> V:
    """Draws from `common`, and one time in `odds` + 1 from `rare`.

    A snapshot in which everything is unusual at once tests little.
    """
    return draw(rare if draw(pick((False,) * odds + (True,))) else common)


def mostly_of(common: tuple[V, ...], rare: SearchStrategy[V], odds: int = 9) -> SearchStrategy[V]:
    """As `mostly`, for a pool of common values: one draw decides whether, and which one.

    Drawing is what takes most of the time of a law.
    """
    return _drawn_or(st.sampled_from((*common * odds, *(None,) * len(common))), rare)


@st.composite
def _drawn_or(draw: DrawFn, pool: SearchStrategy[V | None], rare: SearchStrategy[V]) -> V:
    drawn = draw(pool)
    return draw(rare) if drawn is None else drawn


mostly_true = st.sampled_from((True, True, False))
nearly_always_true = st.sampled_from((True,) * 15 + (False,))
seldom_true = st.sampled_from((False,) * 7 + (True,))
