"""Plain maps and lists of single-key maps are the same; DEFAULTS fill what a backup does not say."""

from __future__ import annotations

from pathlib import Path

from model import Compression, CompressionMethod, DockerContainer, FileSource, Keep, SshHost
from tests.support.configurations import db_backup, errors_of, file_backup, load

PLAIN = """\
PROJECTS:
  - NAME: shop
    BACKUPS:
      FILE_BACKUPS:
        - NAME: one
          INTERVALS: ["0 2 * * *", "@daily"]
          FILE_PATH: [/srv, /etc]
          UPLOAD_TO:
            - {STORAGE_NAME: S3, PATH: a}
            - {STORAGE_NAME: LOCAL, PATH: b}
        - {NAME: two, INTERVALS: "@weekly", FILE_PATH: /opt, UPLOAD_TO: {STORAGE_NAME: LOCAL}}
      DB_BACKUPS: {INTERVALS: "@daily", DB_INFO: {NAME: shop}, UPLOAD_TO: {STORAGE_NAME: LOCAL}}
  - {NAME: blog, ENABLED: no}
"""

SINGLE_KEYS = """\
PROJECTS:
  - NAME: shop
  - BACKUPS:
      - FILE_BACKUP:
          - NAME: one
          - INTERVALS: ["0 2 * * *", "@daily"]
          - FILE_PATH: [/srv, /etc]
          - UPLOAD_TO:
              - STORAGE_NAME: S3
              - PATH: a
              - STORAGE_NAME: LOCAL
              - PATH: b
          - NAME: two
          - UPLOAD_TO: [STORAGE_NAME: LOCAL]
          - FILE_PATH: /opt
          - INTERVALS: "@weekly"
      - DB_BACKUP:
          - INTERVALS: "@daily"
          - DB_INFO: {NAME: shop}
          - UPLOAD_TO: {STORAGE_NAME: LOCAL}
  - NAME: blog
  - ENABLED: no
"""


def without_lines(folder: Path, text: str) -> list[dict[str, object]]:
    return [
        {name: getattr(backup, name) for name in backup.__slots__ if name != "line"}
        for backup in load(folder, text).backups
    ]


def test_both_spellings_are_the_same(tmp_path: Path) -> None:
    plain = without_lines(tmp_path, PLAIN)
    assert len(plain) == 3
    assert plain == without_lines(tmp_path, SINGLE_KEYS)


def test_a_backup_is_where_its_first_key_is(tmp_path: Path) -> None:
    assert [backup.line for backup in load(tmp_path, PLAIN).backups] == [5, 11, 12]
    assert [backup.line for backup in load(tmp_path, SINGLE_KEYS).backups] == [5, 13, 18]


def test_an_alias_repeats_its_key(tmp_path: Path) -> None:
    groups = file_backup(NAME="a") + file_backup(NAME="b").split("BACKUPS:\n")[1].replace(
        "FILE_BACKUP:", "FILE_BACKUPS:"
    )
    assert [backup.id for backup in load(tmp_path, groups).backups] == ["shop/a", "shop/b"]


def test_a_mixture_that_reads_the_same_either_way_is_good(tmp_path: Path) -> None:
    text = "PROJECTS:\n  - NAME: blog\n" + file_backup().removeprefix("PROJECTS:\n")
    assert [backup.id for backup in load(tmp_path, text).backups] == ["shop/files"]


def test_docker_stands_inside_of_db_info_or_beside_it(tmp_path: Path) -> None:
    inside = load(tmp_path, db_backup(DB_INFO="{NAME: shop, DOCKER: {CONTAINER_NAME: shop-db}}"))
    beside = load(tmp_path, db_backup(DOCKER="{CONTAINER_NAME: shop-db}"))
    assert inside.backups == beside.backups
    assert inside.backups[0].docker == DockerContainer("shop-db")


def test_ip_address_and_host_are_the_same(tmp_path: Path) -> None:
    first = load(tmp_path, file_backup(SSH="{IP_ADDRESS: 192.0.2.7}"))
    assert first.backups == load(tmp_path, file_backup(SSH="{HOST: 192.0.2.7}")).backups


def test_defaults_are_taken_where_a_backup_says_nothing(tmp_path: Path) -> None:
    defaults = """\
DEFAULTS:
  INTERVALS: "@daily"
  UPLOAD_TO: {STORAGE_NAME: LOCAL, PATH: all}
  SSH: {HOST: 192.0.2.7}
  KEEP: {LAST: 2}
  COMPRESSION: {METHOD: zstd}
  EXCLUDE: [a, b]
  EXCLUDE_CACHES: yes
"""
    text = file_backup(INTERVALS="", UPLOAD_TO="") + db_backup(INTERVALS="", UPLOAD_TO="").split("BACKUPS:\n")[1]
    files, database = load(tmp_path, text + defaults).backups
    for backup in (files, database):
        assert backup.intervals == ("@daily",)
        assert [str(target) for target in backup.targets] == ["LOCAL:all"]
        assert backup.ssh == SshHost(None, "192.0.2.7")
        assert backup.keep == Keep(last=2)
        assert backup.compression == Compression(CompressionMethod.ZSTD, 3)
    assert files.source == FileSource(("/srv/shop",), ("a", "b"), True)


def test_a_key_in_a_backup_takes_the_place_of_the_whole_default(tmp_path: Path) -> None:
    defaults = "DEFAULTS: {EXCLUDE: [a, b], KEEP: {LAST: 2, DAILY: 3}, INTERVALS: '@daily'}\n"
    backup = load(tmp_path, defaults + file_backup(EXCLUDE="[]", KEEP="{LAST: 9}")).backups[0]
    assert backup.source == FileSource(("/srv/shop",))
    assert backup.keep == Keep(last=9)
    assert backup.intervals == ("0 2 * * *",)


def test_a_problem_in_defaults_is_said_once(tmp_path: Path) -> None:
    defaults = "DEFAULTS: {INTERVALS: never, UPLOAD_TO: {STORAGE_NAME: tape}}\n"
    backups = file_backup(INTERVALS="", UPLOAD_TO="", NAME="a") + file_backup(
        INTERVALS="", UPLOAD_TO="", NAME="b"
    ).removeprefix("PROJECTS:\n")
    assert [problem.split(":")[:2] for problem in errors_of(tmp_path, defaults + backups)] == [["1", "23"], ["1", "56"]]


def test_empty_defaults_do_not_count(tmp_path: Path) -> None:
    text = "DEFAULTS: {INTERVALS: [], UPLOAD_TO: }\n" + file_backup(INTERVALS="", UPLOAD_TO="")
    assert errors_of(tmp_path, text) == [
        '1:23: INTERVALS is an empty list. Write it like this: INTERVALS: ["0 2 * * *"]',
        "8:13: UPLOAD_TO is missing. Write it like this: UPLOAD_TO: [{STORAGE_NAME: LOCAL, PATH: shop}]",
    ]
