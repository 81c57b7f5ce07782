"""How everything stands, told daily or weekly: what needs somebody first, readable for one and for a thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from catalog import Catalog
from model import Backup, Secret
from notifications.message import Level as MessageLevel
from notifications.message import Message
from notifications.messages import Commands
from notifications.outbox import Waiting, fingerprint
from operations.status.levels import WORST_FIRST, Level
from operations.status.overview import Standing, standings
from operations.telling.memory import Memory
from operations.telling.teller import Teller
from schedules.times import CLOCK_SLACK, latest_slot, local_zone
from utils import format_count, format_size, redact

_JUST_NOW = timedelta(minutes=10)
_MOST_IN_TROUBLE = 50
_MOST_GOOD = 50
_LONGEST_TEXT = 300
_NEEDS_SOMEBODY = (Level.FAILED, Level.LATE, Level.WARNING)


@dataclass(frozen=True, slots=True)
class _Subscription:
    """One address and one interval, and the backups whose summary goes there."""

    url: Secret
    interval: str
    owner: str
    position: int
    backups: tuple[Backup, ...]

    @property
    def key(self) -> str:
        return f"{fingerprint(self.url)} {self.interval}"


def send_due(teller: Teller, catalog: Catalog, now: datetime) -> None:
    """What a line of the crontab for summaries does. Raises CatalogError."""
    teller.send(teller.remember(lambda memory: due_summaries(teller, catalog, memory, now, by_line=True)))


def summary_of(teller: Teller, catalog: Catalog, backup_ids: Sequence[str], now: datetime) -> Message:
    """How these backups stand now. Raises CatalogError."""
    found = standings(teller.configuration, catalog, backup_ids, now)
    return summary(found, teller.host, now, local_zone(), teller.commands)


def due_summaries(
    teller: Teller, catalog: Catalog, memory: Memory, now: datetime, *, by_line: bool = False
) -> list[Waiting]:
    """Those that are due and were not told, stored in the outbox. Raises CatalogError.

    Of one that is new only the line of the crontab that is for this moment (``by_line``) tells; one that was due while
    the machine was off is told later.
    """
    waiting = []
    for subscription in subscriptions(teller.configuration.enabled_backups):
        slot = latest_slot([subscription.interval], now + CLOCK_SLACK)
        told = memory.summaries.get(subscription.key)
        if slot is None or (told is not None and slot <= told):
            continue
        memory.summaries[subscription.key] = slot
        if told is None and not (by_line and now - slot < _JUST_NOW):
            continue
        message = summary_of(teller, catalog, [backup.id for backup in subscription.backups], now)
        waiting.append(
            teller.put(
                Waiting(
                    f"summary {slot.isoformat()} {subscription.interval}",
                    fingerprint(subscription.url),
                    subscription.owner,
                    subscription.position,
                    message,
                    now,
                )
            )
        )
    return waiting


def subscriptions(backups: Iterable[Backup]) -> list[_Subscription]:
    """Each address with each of its intervals once."""
    found: dict[tuple[Secret, str], tuple[str, int, list[Backup]]] = {}
    for backup in backups:
        for position, channel in enumerate(backup.channels):
            if channel.summary is not None:
                place = found.setdefault((channel.url, channel.summary), (backup.id, position, []))
                place[2].append(backup)
    return [
        _Subscription(url, interval, owner, position, tuple(its))
        for (url, interval), (owner, position, its) in found.items()
    ]


def summary(found: Sequence[Standing], host: str, now: datetime, zone: tzinfo, commands: Commands) -> Message:
    """How these backups stand. Pure."""
    ordered = sorted(found, key=lambda each: WORST_FIRST.index(each.level))
    troubled = [each for each in ordered if each.level in _NEEDS_SOMEBODY]
    others = [each for each in ordered if each.level not in _NEEDS_SOMEBODY]
    count = format_count(len(found), "backup")
    if not found:
        title, level = f"Holdfast: there is no backup on {host}", MessageLevel.WARNING
    elif troubled:
        verb = "needs" if len(troubled) == 1 else "need"
        title = f"Holdfast: {len(troubled):,} of {count} {verb} attention on {host}"
        level = MessageLevel.FAILURE if any(each.level is Level.FAILED for each in troubled) else MessageLevel.WARNING
    else:
        title, level = f"Holdfast: all is well with {count} on {host}", MessageLevel.SUCCESS
    parts = [
        _counts(ordered, host, now, zone),
        _listed("NEEDS ATTENTION", [_troubled(each) for each in troubled], _MOST_IN_TROUBLE),
        _listed("THE OTHERS" if troubled else "ALL OF THEM", [_line(each, zone) for each in others], _MOST_GOOD),
        _unproven(ordered),
        _space(ordered),
        f"How each of them stands: {commands.line('backup.py')}",
    ]
    return Message(title, redact("\n\n".join(filter(None, parts))) + "\n", level)


def _counts(ordered: Sequence[Standing], host: str, now: datetime, zone: tzinfo) -> str:
    counts = Counter(each.level for each in ordered)
    named = ", ".join(f"{counts[level]:,} {level.value}" for level in WORST_FIRST if counts[level])
    when = now.astimezone(zone).strftime("%A, %Y-%m-%d %H:%M %Z")
    return f"{format_count(len(ordered), 'backup')} on {host}, {when}: {named or 'none'}."


def _listed(title: str, entries: Sequence[str], most: int) -> str:
    if not entries:
        return ""
    more = len(entries) - most
    end = [f"  … and {more:,} more"] if more > 0 else []
    return "\n".join([title, *entries[:most], *end])


def _troubled(standing: Standing) -> str:
    lines = [f"  {standing.backup_id}: {standing.level.value}"]
    for notice in standing.notices[:2]:
        text = " ".join(notice.text.split())
        lines.append(f"    {text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rstrip() + ' …'}")
        lines += [f"    {notice.advice}"] if notice.advice else []
    return "\n".join(lines)


def _line(standing: Standing, zone: tzinfo) -> str:
    facts = []
    if standing.last_good is not None:
        facts.append(f"last good {standing.last_good.started.astimezone(zone):%Y-%m-%d %H:%M}")
    if standing.sizes.content is not None:
        facts.append(format_size(standing.sizes.content))
    if standing.sizes.trend is not None and standing.sizes.trend.is_changing:
        facts.append(str(standing.sizes.trend))
    proven = standing.checks.proven
    facts.append(f"proven {proven.started.astimezone(zone):%Y-%m-%d}" if proven is not None else "never proven")
    word = "" if standing.level is Level.GOOD else f" {standing.level.value},"
    return f"  {standing.backup_id}:{word} {', '.join(facts)}"


def _unproven(ordered: Sequence[Standing]) -> str:
    names = [each.backup_id for each in ordered if each.checks.proven is None and each.last_good is not None]
    if not names:
        return ""
    shown = ", ".join(names[:10]) + (f" and {len(names) - 10:,} more" if len(names) > 10 else "")
    return (
        f"Never restored as a proof: {shown}. DRILL in config.yaml does that by itself, and `restore.py verify "
        "--drill` does it now."
    )


def _space(ordered: Sequence[Standing]) -> str:
    used: Counter[str] = Counter()
    for standing in ordered:
        for target in standing.targets:
            if target.usage is not None:
                used[target.target.storage.name] += target.usage.size
    if not used:
        return ""
    return "In use: " + ", ".join(f"{format_size(size)} on {name}" for name, size in used.most_common()) + "."
