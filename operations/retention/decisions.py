"""Which copies of a backup stay on a target, and why. Pure: the clock and its zone are arguments.

The words of KEEP say what is asked for (``operations.retention.keep_rules``). Above them stand these rules:

- A copy goes only where a newer good one stays. So the newest good copy, and the last one, never go.
- Only good copies count: whose run was good, and whose archive and index lie there as the manifest has them.
- A partial copy never takes the place of a good one. It goes when a newer copy is good and the words would not ask for
  it even if it were good itself: not at once, because thirty partial copies in a row are all the history there is.
- A copy whose manifest or content is not what it should be stays, and counts for nothing: somebody has to look at it.
  So does one that may be somebody else's: where copies are signed, who can write to a target must not get ours removed
  by putting newer ones beside them.
- No clock removes anything. A copy from the future neither goes nor lets others go. ``WITHIN`` counts from the newest
  good copy and not from now; and a gap longer than ``WITHIN`` (the machine was off, or its clock jumped) makes nothing
  old by itself: what was within before the gap stays until as many good copies were made after it.
- What is pinned stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from model import CalendarSpan, Keep, RunStatus
from operations.retention.keep_rules import wanted
from operations.retention.periods import before


@dataclass(frozen=True, slots=True)
class Candidate:
    """A copy as retention sees it.

    ``problem`` says what is wrong with it: then its ``status`` is not believed. ``pin`` says why it is pinned.
    """

    started: datetime
    status: RunStatus | None
    problem: str | None = None
    pin: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a copy stays, and every reason for it."""

    stays: bool
    reasons: tuple[str, ...]


def decide(
    copies: Iterable[Candidate], keep: Keep, now: datetime, zone: tzinfo, made: datetime | None = None
) -> list[Decision]:
    """For each copy on one target, in the order of ``copies``, whether it stays.

    ``zone`` says when a day begins: the local time of the machine, as for INTERVALS. ``made`` is when the run began
    whose copy lets others go: where that is not there and good, nothing goes. None where a person asks.
    """
    return _Judgement(copies, keep, now, zone, made).decisions()


class _Judgement:
    """One decision in the making. Copies are named by their places in ``_copies``, in lists with the newest first."""

    def __init__(
        self, copies: Iterable[Candidate], keep: Keep, now: datetime, zone: tzinfo, made: datetime | None
    ) -> None:
        self._copies = list(copies)
        self._keep = keep
        self._now = now
        self._zone = zone
        self._made = made
        self._reasons: list[list[str]] = []
        newest_first = sorted(range(len(self._copies)), key=lambda place: self._copies[place].started, reverse=True)
        self._sound = [place for place in newest_first if self._is_sound(self._copies[place])]
        self._good = [place for place in self._sound if self._copies[place].status is RunStatus.GOOD]

    def decisions(self) -> list[Decision]:
        self._reasons = [self._reasons_of_its_own(copy) for copy in self._copies]
        why_all_stay = self._why_all_stay()
        if why_all_stay is None:
            self._apply_words()
            self._hold_minimum()
        return [self._decision(place, why_all_stay) for place in range(len(self._copies))]

    def _is_sound(self, copy: Candidate) -> bool:
        return copy.problem is None and copy.started <= self._now

    def _reasons_of_its_own(self, copy: Candidate) -> list[str]:
        reasons = []
        if copy.pin is not None:
            reasons.append(f"pinned: {copy.pin}")
        if copy.problem is not None:
            reasons.append(f"it cannot be judged: {copy.problem}")
        if copy.started > self._now:
            reasons.append("its time is in the future")
        return reasons

    def _why_all_stay(self) -> str | None:
        if self._keep.removes_nothing:
            return "no rule of KEEP says which copies are enough"
        if not self._good:
            return "there is no good copy"
        if self._made is not None and self._made not in self._times(self._good):
            return "the copy of this run is not there as it was made"
        return None

    def _apply_words(self) -> None:
        newest = self._copies[self._good[0]].started
        title = "the newest good copy" if len(self._good) > 1 else "the last good copy"
        for place in self._sound:
            if self._copies[place].started >= newest:
                is_good = self._copies[place].status is RunStatus.GOOD
                self._reasons[place].append(title if is_good else "not older than the newest good copy")
        self._add_wanted(self._good, RunStatus.GOOD)
        older = [place for place in self._sound if self._copies[place].started <= newest]
        self._add_wanted(older, RunStatus.PARTIAL)

    def _add_wanted(self, places: Sequence[int], status: RunStatus) -> None:
        """Ask the words about these copies, and take their answer for those of this status."""
        times = self._times(places)
        before_gaps = _within_before_gaps(times, self._keep.within, self._zone) if self._keep.within else set()
        for index, (place, reasons) in enumerate(zip(places, wanted(times, self._keep, self._zone), strict=True)):
            if self._copies[place].status is status:
                self._reasons[place] += reasons
                if index in before_gaps:
                    self._reasons[place].append(
                        f"within {self._keep.within} before a longer gap, and fewer copies were made after it"
                    )

    def _hold_minimum(self) -> None:
        minimum = self._keep.min_count or 0
        missing = minimum - sum(bool(self._reasons[place]) for place in self._good)
        for place in self._good:
            if missing > 0 and not self._reasons[place]:
                self._reasons[place].append(f"one of at least {minimum} good copies")
                missing -= 1

    def _decision(self, place: int, why_all_stay: str | None) -> Decision:
        reasons = self._reasons[place]
        if why_all_stay is not None:
            return Decision(True, (*reasons, why_all_stay))
        if reasons:
            return Decision(True, tuple(reasons))
        is_good = self._copies[place].status is RunStatus.GOOD
        why = "no rule of KEEP asks for it" if is_good else "partial, and a newer copy is good"
        return Decision(False, (why,))

    def _times(self, places: Iterable[int]) -> list[datetime]:
        return [self._copies[place].started for place in places]


def _within_before_gaps(times: Sequence[datetime], span: CalendarSpan, zone: tzinfo) -> set[int]:
    """The indices of copies that only a gap longer than the span has made old.

    That is, of those that were within the span when the gap began, where they are more than were made since.
    """
    held: set[int] = set()
    for first in range(1, len(times)):
        if times[first] > before(times[first - 1], span, zone):
            continue
        limit = before(times[first], span, zone)
        end = next((index for index in range(first, len(times)) if times[index] <= limit), len(times))
        if end - first > first:
            held.update(range(first, end))
    return held
