"""Runs the benchmarks and writes docs/benchmarks.md and the pages benchmarks-….md beside it, with charts."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks import archives, browse, dashboard, encryption, hosts, restores, starts, storages
from benchmarks.corpora import make_huge, make_large, make_many, make_small, size_and_count
from benchmarks.measure import Contender, take_turns
from benchmarks.report import Table, write_report
from benchmarks.shop_database import shop_database
from benchmarks.targets import targets

_HUGE_COPIES = 10
_MANY = 1_000_000
_READY_SIZE = 2 << 30
_FAR_SIZE = 256 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the corpora and results lie (default: a temporary folder)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each command is timed (default: 3)")
    parser.add_argument(
        "--long", action="store_true", help=f"also 20 GB in one file, and {_MANY:,} files (needs 60 GB of disk)"
    )
    parser.add_argument("--only", choices=tuple(_PAGES), help="one of the pages (default: all)")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="holdfast-benchmark-"))
    try:
        corpora, work = folder / "corpora", folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for name, page in _PAGES.items():
            if arguments.only in (None, name):
                page(corpora, work, arguments)
    finally:
        if arguments.folder is None:
            shutil.rmtree(folder)


def _archives(corpora: Path, work: Path, arguments: argparse.Namespace) -> None:
    small, large = make_small(corpora), make_large(corpora)
    packing = {corpus.name: archives.packing(corpus, work, arguments.rounds) for corpus in (small, large)}
    tables = [
        targets(packing),
        *packing.values(),
        starts.starting(work, 2 * arguments.rounds + 1),
    ]
    if arguments.long:
        tables.append(_memory([large, make_huge(corpora, large, _HUGE_COPIES), make_many(corpora, _MANY)], work))
    write_report("benchmarks", "Benchmarks", tables, archives.REPOSITORY / "docs", archives.peers())


def _storages(corpora: Path, work: Path, arguments: argparse.Namespace) -> None:
    rounds = arguments.rounds
    small, large = make_small(corpora), make_large(corpora)
    tables = {corpus.name: storages.to_s3(corpus, work, rounds) for corpus in (small, large)}
    with storages.ready_file(work, _READY_SIZE) as file:
        tables["sftp"] = storages.to_sftp(work, file, rounds)
        tables["onedrive"] = storages.to_onedrive(work, file, rounds)
    with storages.ready_file(work, _FAR_SIZE) as file:
        tables["line"] = storages.over_a_long_line(work, file, rounds)
    if arguments.long:
        huge = make_huge(corpora, large, _HUGE_COPIES)
        tables["memory"] = storages.memory_of_three_targets(huge, work)
    pages = [storages.reached(tables), *tables.values()]
    write_report(
        "benchmarks-storages", "Benchmarks of the storages", pages, archives.REPOSITORY / "docs", storages.peers()
    )


def _hosts(corpora: Path, work: Path, arguments: argparse.Namespace) -> None:
    rounds = arguments.rounds
    small, large = make_small(corpora), make_large(corpora)
    with shop_database() as shop:
        tables = {"database": hosts.database(shop, work, rounds)}
    for corpus in (small, large):
        tables[corpus.name] = hosts.files_over_ssh(corpus, work, rounds)
    tables["docker"] = hosts.docker_exec(large, work, rounds)
    pages = [hosts.reached(tables), *tables.values()]
    title = "Benchmarks of databases and other hosts"
    write_report("benchmarks-hosts", title, pages, archives.REPOSITORY / "docs", hosts.peers())


def _restores(corpora: Path, work: Path, arguments: argparse.Namespace) -> None:
    rounds = arguments.rounds
    small, large = make_small(corpora), make_large(corpora)
    tables = {corpus.name: restores.restoring(corpus, work, rounds) for corpus in (small, large)}
    tables["one file"] = restores.one_file(work, rounds)
    for corpus in (small, large):
        tables[f"encrypting {corpus.name}"] = encryption.encrypting(corpus, rounds)
    tables["verifying"] = encryption.verifying(large, work, rounds)
    pages = [restores.reached(tables), *tables.values()]
    title = "Benchmarks of getting it back"
    write_report("benchmarks-restore", title, pages, archives.REPOSITORY / "docs", encryption.peers(restores.peers()))


def _dashboard(_corpora: Path, work: Path, arguments: argparse.Namespace) -> None:
    tables = [*dashboard.reading(work), browse.opening(work, arguments.rounds)]
    write_report(
        "benchmarks-dashboard", "Benchmarks of the dashboard", tables, archives.REPOSITORY / "docs", "", dashboard.ABOUT
    )


_PAGES = {
    "archives": _archives,
    "storages": _storages,
    "hosts": _hosts,
    "restore": _restores,
    "dashboard": _dashboard,
}


def _memory(corpora: list[Path], work: Path) -> Table:
    """Peak memory does not follow the size of the data."""
    rows = []
    for corpus in corpora:
        folder = work / f"memory-{corpus.name}"
        archives.configure(folder, corpus)
        backup = Contender("Holdfast", archives.holdfast("backup.py", folder, "-q", "bench/corpus"))
        result = take_turns([backup], 1, lambda: None)["Holdfast"]
        size, count = size_and_count(corpus)
        rows.append(
            (f"{count:,}", f"{size / 1e9:.1f} GB", f"{result.median:.1f}", f"{result.peak_memory[0] / 1e6:.0f} MB")
        )
        shutil.rmtree(folder)
    return Table(
        "Memory", "One run each, input as it is on the disk.", ("files", "content", "seconds", "peak memory"), rows
    )


if __name__ == "__main__":
    main()
