"""What was set out to be reached, and what was."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.report import Table

_ZIP, _TAR, _RESTIC = "zip -r -q -y", "tar | zstd -1 -T0", "restic, first backup"


def targets(packing: dict[str, Table]) -> Table:
    """Each target with what was measured; the tables are by the name of their corpus."""
    rows = [
        (what, f"{wanted}", measured, "yes" if reached else "**no**")
        for what, wanted, measured, reached in (
            *_packing_rows("small", packing["small"], 12),
            *_packing_rows("large", packing["large"], 20),
        )
    ]
    return Table(
        "What was to be reached",
        "Ratios of the medians below. Where one is not reached, [architecture.md](architecture.md#speed) says why.",
        ("", "wanted", "measured", "reached"),
        rows,
    )


def _packing_rows(name: str, table: Table, times_zip: float) -> Iterator[tuple[str, str, str, bool]]:
    seconds = dict(table.bars)
    ours = seconds["Holdfast"]
    faster = seconds[_ZIP] / ours
    yield f"{name}: faster than `zip`", f"{times_zip} ×", f"{faster:.1f} ×", faster >= times_zip
    of_tar = ours / seconds[_TAR]
    yield f"{name}: the time of `tar` with `zstd -1 -T0`", "at most 1.1 ×", f"{of_tar:.2f} ×", of_tar <= 1.1
    faster = seconds[_RESTIC] / ours
    yield f"{name}: faster than `restic`'s first backup", "2.5 ×", f"{faster:.1f} ×", faster >= 2.5
    size = float(table.rows[0][-1])
    yield f"{name}: the size of `zip`'s archive", "at most 1.15 ×", f"{size:.3f} ×", size <= 1.15
