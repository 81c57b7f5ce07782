"""How values are written: text as text, nothing as nothing, one value as a list of one, paths, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import CalendarSpan, Compression, CompressionMethod, DatabaseSource, FileSource, Keep, Secret, SshHost
from tests.support.configurations import HOME, db_backup, file_backup, load, warnings_of


def password(folder: Path, written: str) -> Secret | None:
    source = load(folder, db_backup(DB_INFO=f"{{NAME: shop, PASSWORD: {written}}}")).backups[0].source
    assert isinstance(source, DatabaseSource)
    return source.password


def paths(folder: Path, **keys: str) -> tuple[str, ...]:
    source = load(folder, file_backup(**keys)).backups[0].source
    assert isinstance(source, FileSource)
    return source.paths


@pytest.mark.parametrize(
    "text",
    [
        "0123",
        "0x10",
        "1_000",
        "1e3",
        "12:30",
        "yes",
        "No",
        "null",
        "~",
        "true",
        "2026-11-20",
        ".inf",
        "=",
        "1234",
        "a$b$$",
    ],
)
def test_text_is_text(text: str, tmp_path: Path) -> None:
    assert password(tmp_path, text) == Secret(text)


@pytest.mark.parametrize(("written", "meant"), [('""', ""), ("''", ""), ("'''x'", "'x"), ('"\\x41\\n"', "A\n")])
def test_quoted_text_is_what_is_in_the_quotes(written: str, meant: str, tmp_path: Path) -> None:
    assert password(tmp_path, written) == Secret(meant)


def test_a_key_without_a_value_counts_as_absent(tmp_path: Path) -> None:
    assert password(tmp_path, "") is None
    backup = load(tmp_path, file_backup(SSH="", KEEP="null", COMPRESSION="~", ENABLED="", EXCLUDE="")).backups[0]
    assert backup == load(tmp_path, file_backup()).backups[0]


@pytest.mark.parametrize(
    ("written", "meant"), [("yes", True), ("TRUE", True), ("On", True), ("no", False), ('"off"', False)]
)
def test_yes_and_no(written: str, meant: bool, tmp_path: Path) -> None:
    configuration = load(tmp_path, file_backup(ENABLED=written))
    assert configuration.backups[0].enabled is meant
    assert len(configuration.enabled_backups) == int(meant)


def test_a_disabled_project_disables_its_backups(tmp_path: Path) -> None:
    configuration = load(tmp_path, file_backup().replace("NAME: shop\n", "NAME: shop\n    ENABLED: no\n"))
    assert configuration.enabled_backups == ()
    assert len(configuration.backups) == 1


def test_one_value_is_a_list_of_one(tmp_path: Path) -> None:
    assert paths(tmp_path, FILE_PATH="/srv") == paths(tmp_path, FILE_PATH="[/srv]") == ("/srv",)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("/", "/"),
        ("//srv//shop/./uploads/", "/srv/shop/uploads"),
        ("~", HOME),
        ("~/uploads/", f"{HOME}/uploads"),
        ("~root/.ssh", str(Path("~root/.ssh").expanduser())),
        ("/srv/with blanks; and $(signs)", "/srv/with blanks; and $(signs)"),
        ('"/srv/new\\nline"', "/srv/new\nline"),
        ("/srv/..hidden", "/srv/..hidden"),
    ],
)
def test_paths(written: str, meant: str, tmp_path: Path) -> None:
    assert paths(tmp_path, FILE_PATH=written) == (meant,)


@pytest.mark.parametrize(
    ("written", "meant"), [("a/b", "a/b"), ("/a//b/", "a/b"), ("./a", "a"), ("/", ""), ('""', ""), ("", "")]
)
def test_target_paths_have_no_slash_at_their_ends(written: str, meant: str, tmp_path: Path) -> None:
    backup = load(tmp_path, file_backup(UPLOAD_TO=f"{{STORAGE_NAME: LOCAL, PATH: {written}}}")).backups[0]
    assert backup.targets[0].path == meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Till Production", "shop/Till-Production"),
        ("a/b\\c", "shop/a-b-c"),
        ("--x..", "shop/x"),
        ("Übung_1.2", "shop/Übung_1.2"),
        ("U\u0308bung", "shop/Übung"),
        ("été 中文", "shop/été-中文"),
    ],
)
def test_ids_are_made_of_names(name: str, meant: str, tmp_path: Path) -> None:
    backup = load(tmp_path, file_backup(NAME=f"'{name}'")).backups[0]
    assert (backup.id, backup.name) == (meant, name)


def test_unnamed_backups_are_called_after_their_kind(tmp_path: Path) -> None:
    both = file_backup() + db_backup().split("BACKUPS:\n")[1]
    assert [backup.id for backup in load(tmp_path, both).backups] == ["shop/files", "shop/db"]


@pytest.mark.parametrize("written", ["@daily", "@Daily", " @daily "])
def test_nicknames_of_cron(written: str, tmp_path: Path) -> None:
    assert load(tmp_path, file_backup(INTERVALS=f'"{written}"')).backups[0].intervals == ("@daily",)


@pytest.mark.parametrize(
    "interval",
    [
        "* * * * *",
        "*/15 0-6,22 1 JAN-mar Mon,5-7",
        "59 23 31 12 7",
        "0 0 29 2 *",
        "0 0 30 2 1",
        "10-50/5 */2 * * *",
        "00 007 * * *",
    ],
)
def test_intervals_that_cron_reads(interval: str, tmp_path: Path) -> None:
    spaced = interval.replace(" ", "  ")
    assert load(tmp_path, file_backup(INTERVALS=f'"{spaced}"')).backups[0].intervals == (interval,)


@pytest.mark.parametrize(
    "address", ["192.0.2.7", "2001:db8::1", "example.com", "web_1", "localhost", "xn--bcher-kva.example."]
)
def test_addresses(address: str, tmp_path: Path) -> None:
    keys = f'{{HOST: "{address}", USERNAME: deploy, PORT: 2222, KEY_FILE: ~/.ssh/id, PASSWORD: 0123}}'
    ssh = load(tmp_path, file_backup(SSH=keys)).backups[0].ssh
    assert ssh == SshHost("deploy", address, 2222, f"{HOME}/.ssh/id", Secret("0123"))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{}", Compression()),
        ("{METHOD: Deflate, LEVEL: 0}", Compression(CompressionMethod.DEFLATE, 0)),
        ("{LEVEL: 3}", Compression(CompressionMethod.DEFLATE, 3)),
        ("{METHOD: zstd}", Compression(CompressionMethod.ZSTD, 3)),
        ("{METHOD: ZSTD, LEVEL: 19}", Compression(CompressionMethod.ZSTD, 19)),
        ("{METHOD: store}", Compression(CompressionMethod.STORE, 0)),
    ],
)
def test_compression(written: str, meant: Compression, tmp_path: Path) -> None:
    assert load(tmp_path, file_backup(COMPRESSION=written)).backups[0].compression == meant


def test_keep_is_taken(tmp_path: Path) -> None:
    written = "{LAST: 3, HOURLY: 24, DAILY: 7, WEEKLY: 4, MONTHLY: 12, YEARLY: 2, WITHIN: 30d, MIN_COUNT: 5}"
    configuration = load(tmp_path, file_backup(KEEP=written))
    assert configuration.backups[0].keep == Keep(3, 24, 7, 4, 12, 2, CalendarSpan(days=30), 5)
    assert warnings_of(configuration) == []


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("36h", CalendarSpan(hours=36)),
        ("8w", CalendarSpan(days=56)),
        ("6m", CalendarSpan(months=6)),
        ("1y6m", CalendarSpan(years=1, months=6)),
        ('"2y1m1w1d1h"', CalendarSpan(2, 1, 8, 1)),
    ],
)
def test_within_is_a_span_of_the_calendar(written: str, meant: CalendarSpan, tmp_path: Path) -> None:
    assert load(tmp_path, file_backup(KEEP=f"{{WITHIN: {written}}}")).backups[0].keep == Keep(within=meant)


def test_a_target_may_keep_other_copies_than_its_backup(tmp_path: Path) -> None:
    targets = "[{STORAGE_NAME: LOCAL, PATH: a}, {STORAGE_NAME: LOCAL, PATH: b, KEEP: {LAST: 2}}]"
    backup = load(tmp_path, file_backup(UPLOAD_TO=targets, KEEP="{DAILY: 7}")).backups[0]
    assert [backup.keep_on(target) for target in backup.targets] == [Keep(daily=7), Keep(last=2)]


def test_rules_for_files(tmp_path: Path) -> None:
    rules = {
        "EXCLUDE": '["*.tmp", cache/]',
        "EXCLUDE_CACHES": "yes",
        "EXCLUDE_IF_PRESENT": ".no",
        "ONE_FILE_SYSTEM": "yes",
    }
    assert load(tmp_path, file_backup(**rules)).backups[0].source == FileSource(
        ("/srv/shop",), ("*.tmp", "cache/"), True, (".no",), True
    )


def test_several_databases(tmp_path: Path) -> None:
    source = load(tmp_path, db_backup(DB_INFO="{TYPE: Postgres, NAME: [shop, blog]}")).backups[0].source
    assert source == DatabaseSource("postgres", ("shop", "blog"))


def test_a_byte_order_mark_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    plain = load(tmp_path, file_backup())
    assert load(tmp_path, "\ufeff" + file_backup().replace("\n", "\r\n")) == plain
    assert load(tmp_path, file_backup().replace("\n", "\r")) == plain


def test_an_empty_definition_beside_a_full_one_is_said(tmp_path: Path) -> None:
    configuration = load(tmp_path, file_backup() + "      - DB_BACKUPS:\n")
    assert warnings_of(configuration) == ["8:9: There is nothing to do yet for this DB_BACKUP: it is empty."]


def test_no_project_at_all_is_said(tmp_path: Path) -> None:
    for text in ("PROJECTS:\n", "PROJECTS: []\n", "PROJECTS: ~\n"):
        (message,) = warnings_of(load(tmp_path, text))
        assert message.endswith("There is nothing to do yet: PROJECTS is empty.")


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("20MB/s", 20_000_000),
        ("500 kB/s", 500_000),
        ("1.5MB", 1_500_000),
        ("2MiB/s", 2 * 1024 * 1024),
        ("1GB/s", 1_000_000_000),
        ("1000B/s", 1000),
    ],
)
def test_a_bandwidth_is_bytes_per_second(written: str, rate: int, tmp_path: Path) -> None:
    target = f"{{STORAGE_NAME: LOCAL, BANDWIDTH: {written}}}"
    (backup,) = load(tmp_path, file_backup(BANDWIDTH=written, UPLOAD_TO=target)).backups
    assert (backup.bandwidth, backup.targets[0].bandwidth) == (rate, rate)
    disk = f"STORAGES: {{NAME: disk, TYPE: LOCAL, ROOT: /mnt, BANDWIDTH: {written}}}\n"
    assert load(tmp_path, disk + file_backup()).storages["disk"].settings["BANDWIDTH"] == str(rate)


def test_folders_beside_each_other_are_no_problem(tmp_path: Path) -> None:
    other = db_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL, PATH: shop/file}, {STORAGE_NAME: LOCAL}]")
    text = file_backup(UPLOAD_TO="{STORAGE_NAME: LOCAL}") + other.removeprefix("PROJECTS:\n")
    assert [len(backup.targets) for backup in load(tmp_path, text).backups] == [1, 2]
