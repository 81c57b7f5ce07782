"""What a backup is, in words for people."""

from __future__ import annotations

from model import Backup, CommandSource, DatabaseSource, FileSource, Keep
from utils import format_count

_MOST_NAMES = 6


def source_words(backup: Backup) -> str:
    """What is read: ``/srv/shop, /etc/nginx``, ``the databases shop and till (postgres)``."""
    source = backup.source
    if isinstance(source, FileSource):
        return _listed(source.paths)
    if isinstance(source, DatabaseSource):
        if source.names == ("*",):
            return f"all databases ({source.engine})"
        word = "the database" if len(source.names) == 1 else "the databases"
        return f"{word} {_listed(source.names)} ({source.engine})"
    return _command_words(source)


def keep_words(keep: Keep) -> str:
    """Which copies stay: ``the last 3, 7 daily, 4 weekly``."""
    if keep.removes_nothing:
        return "all stay"
    parts = [f"the last {keep.last}"] if keep.last is not None else []
    counts = (("hourly", keep.hourly), ("daily", keep.daily), ("weekly", keep.weekly))
    longer = (("monthly", keep.monthly), ("yearly", keep.yearly))
    parts += [f"{count} {name}" for name, count in (*counts, *longer) if count is not None]
    if keep.within is not None:
        parts.append(f"all within {keep.within}")
    if keep.min_count is not None:
        parts.append(f"never fewer than {keep.min_count}")
    return ", ".join(parts)


def _command_words(source: CommandSource) -> str:
    """Its program only: arguments may hold what is nobody's business."""
    return f"what {source.argv[0]} writes ({source.filename})"


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    rest = len(names) - _MOST_NAMES
    return f"{shown} and {format_count(rest, 'other')}" if rest > 0 else shown
