"""Proofs that cannot be asked for, and targets that leave a run nowhere to go: each with its place and its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import command_backup, db_backup, errors_of, file_backup, load, warnings_of

AGE = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
DRILL = 'INTERVALS: "@weekly"'
DEFAULT_DRILL = f'DEFAULTS: {{VERIFY: {{DRILL: {{{DRILL}, ASSERT: "select 1"}}}}}}\n'
NO_WAY = "8:24: Every target here has ONLY, so a run could have nowhere to go. Leave it out for one of them."


def asking(questions: str, names: str = "shop") -> str:
    return db_backup(DB_INFO=f"{{NAME: {names}}}", VERIFY=f"{{DRILL: {{{DRILL}, {questions}}}}}")


BAD: list[tuple[str, str, list[str]]] = [
    (
        "a plan without a time",
        file_backup(VERIFY="{}"),
        ["8:21: VERIFY says nothing about when. Write INTERVALS or DRILL below it."],
    ),
    (
        "a plan without a time, but with a slip",
        file_backup(VERIFY='{INTERVAL: "@daily"}'),
        ["8:22: VERIFY does not know INTERVAL: did you mean INTERVALS?"],
    ),
    ("a plan that is a word", file_backup(VERIFY="daily"), ["8:21: VERIFY must be a map: `KEY: value` lines."]),
    (
        "an impossible interval",
        file_backup(VERIFY='{INTERVALS: "0 0 30 2 *"}'),
        ["8:33: INTERVALS can never run: no month in it has such a day."],
    ),
    (
        "an interval twice",
        file_backup(VERIFY='{INTERVALS: ["@daily", "@daily"]}'),
        ["8:44: INTERVALS holds this expression twice. Remove one."],
    ),
    *[
        (
            f"a sample of {written}",
            file_backup(VERIFY=f'{{INTERVALS: "@daily", SAMPLE: {written}}}'),
            ["8:51: SAMPLE must be a percentage from 1% to 100%, such as 10%."],
        )
        for written in ("10", "0%", "101%", "-1%", "1.5%", "half", '"%"', "٣%")
    ],
    (
        "a sample without a time",
        file_backup(VERIFY=f"{{SAMPLE: 10%, HEAL: yes, DRILL: {{{DRILL}}}}}"),
        [
            "8:30: SAMPLE is about copies that are read back. Write beside it when that is done: INTERVALS.",
            "8:41: HEAL is about copies that are read back. Write beside it when that is done: INTERVALS.",
        ],
    ),
    (
        "healing perhaps",
        file_backup(VERIFY='{INTERVALS: "@daily", HEAL: perhaps}'),
        ["8:49: HEAL must be yes or no."],
    ),
    (
        "a drill without a time",
        file_backup(VERIFY="{DRILL: {FOLDER: /srv/drills}}"),
        ['8:29: INTERVALS is missing. Write it like this: INTERVALS: ["0 6 1 * *"]'],
    ),
    (
        "a drill with no time in its list",
        file_backup(VERIFY="{DRILL: {INTERVALS: []}}"),
        ['8:41: INTERVALS is an empty list. Write it like this: INTERVALS: ["0 6 1 * *"]'],
    ),
    (
        "a drill in a relative folder",
        file_backup(VERIFY=f"{{DRILL: {{{DRILL}, FOLDER: drills}}}}"),
        [
            "8:60: FOLDER must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from "
            "${CONFIG_DIR}/ on (the folder of this file)."
        ],
    ),
    (
        "a drill in the home of nobody",
        file_backup(VERIFY=f"{{DRILL: {{{DRILL}, FOLDER: ~nobody-of-this-name/x}}}}"),
        ["8:60: FOLDER begins with `~`, but this user has no home folder on this machine."],
    ),
    (
        "a question to files",
        file_backup(VERIFY=f'{{DRILL: {{{DRILL}, ASSERT: "select 1"}}}}'),
        ["8:60: ASSERT asks a database, and this is a backup of files. Remove it here."],
    ),
    (
        "questions to what a program writes",
        command_backup(VERIFY=f'{{DRILL: {{{DRILL}, ASSERT: "select 1", ASSERT_IN: {{a: "select 1"}}}}}}'),
        [
            "9:60: ASSERT asks a database, and this is a backup of what a program writes. Remove it here.",
            "9:83: ASSERT_IN asks a database, and this is a backup of what a program writes. Remove it here.",
        ],
    ),
    *[
        (
            f"one question to the databases {names}",
            asking('ASSERT: ["select 1"]', names),
            [
                "8:60: ASSERT asks one database, and this backup has several. Write ASSERT_IN, which says which "
                'database is asked, as in ASSERT_IN: {shop: "select count(*) > 100 from users"}.'
            ],
        )
        for names in ("[shop, blog]", '"*"')
    ],
    (
        "one question of DEFAULTS to several databases",
        DEFAULT_DRILL + db_backup(DB_INFO="{NAME: [shop, blog]}"),
        [
            "1:59: ASSERT asks one database, and shop/db, for which DEFAULTS holds too, has several. Give it a VERIFY "
            "of its own, with ASSERT_IN, which says which database is asked."
        ],
    ),
    (
        "a question to a database that is not there",
        asking("ASSERT_IN: {shop: select 1, blgo: select 1}", "[shop, blog]"),
        ["8:86: ASSERT_IN names a database that this backup does not have. It has shop, blog."],
    ),
    (
        "a question to a file that is not there",
        db_backup(
            DB_INFO="{TYPE: sqlite, FILE_PATH: [/a.db, /b.db]}",
            VERIFY=f"{{DRILL: {{{DRILL}, ASSERT_IN: {{a.db: select 1}}}}}}",
        ),
        ["8:70: ASSERT_IN names a database that this backup does not have. It has /a.db, /b.db."],
    ),
    ("an empty question", asking('ASSERT: ["select 1", " "]'), ["8:73: ASSERT must not be empty."]),
    (
        "a question with a NUL",
        asking('ASSERT: "\\0"'),
        ["8:60: ASSERT must not hold the character U+0000: no program can take it over."],
    ),
    (
        "a list of questions by name",
        asking("ASSERT_IN: [a]"),
        ["8:63: ASSERT_IN must be one map, not a list. Write its keys without dashes."],
    ),
    (
        "a question in the wrong map",
        db_backup(VERIFY='{INTERVALS: "@daily", ASSERT: "select 1"}'),
        ["8:43: VERIFY does not know ASSERT: it belongs under DRILL."],
    ),
    (
        "a target with ONLY",
        file_backup(UPLOAD_TO="{STORAGE_NAME: LOCAL, ONLY: MONTHLY}"),
        [NO_WAY.replace("8:", "7:")],
    ),
    (
        "two targets with ONLY",
        db_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL, ONLY: DAILY}, {STORAGE_NAME: LOCAL, PATH: a, ONLY: WEEKLY}]"),
        [NO_WAY.replace("8:", "7:")],
    ),
    (
        "targets with ONLY in DEFAULTS, said once",
        "DEFAULTS: {UPLOAD_TO: {STORAGE_NAME: LOCAL, ONLY: DAILY}}\n"
        + file_backup(UPLOAD_TO="")
        + db_backup(UPLOAD_TO="").split("BACKUPS:\n")[1],
        [NO_WAY.replace("8:24", "1:23")],
    ),
    (
        "ONLY in other words",
        file_backup(UPLOAD_TO="[{STORAGE_NAME: LOCAL}, {STORAGE_NAME: LOCAL, PATH: a, ONLY: month}]"),
        ["7:85: ONLY must be HOURLY, DAILY, WEEKLY, MONTHLY or YEARLY."],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems


CANNOT_OPEN = (
    "This drill cannot open copies that are encrypted with ENCRYPT_TO: AGE_IDENTITY_FILE is not set. Set it, or have "
    "the drill on the machine that has the private key."
)


def test_a_drill_without_the_key_is_warned_of(tmp_path: Path) -> None:
    drill = f"{{DRILL: {{{DRILL}}}}}"
    text = file_backup(ENCRYPT_TO=AGE, VERIFY=drill)
    assert warnings_of(load(tmp_path, text)) == [f"9:29: {CANNOT_OPEN}"]
    assert warnings_of(load(tmp_path, text, {"AGE_IDENTITY_FILE": "/media/key"})) == []
    for without_need in (
        file_backup(VERIFY=drill),
        file_backup(ENCRYPT_PASSPHRASE="${PASS:-canary}", VERIFY=drill),
        file_backup(ENCRYPT_TO=AGE, VERIFY='{INTERVALS: "@daily"}'),
    ):
        assert warnings_of(load(tmp_path, without_need)) == []


def test_a_drill_of_defaults_without_the_key_is_warned_of_once(tmp_path: Path) -> None:
    defaults = f"DEFAULTS: {{ENCRYPT_TO: {AGE}, VERIFY: {{DRILL: {{{DRILL}}}}}}}\n"
    text = defaults + file_backup() + db_backup().split("BACKUPS:\n")[1]
    assert warnings_of(load(tmp_path, text)) == [f"1:104: {CANNOT_OPEN}"]


@pytest.mark.parametrize("is_open", [True, False])
def test_a_private_key_that_every_user_can_read_is_warned_of(is_open: bool, tmp_path: Path) -> None:
    identity = tmp_path / "identity.txt"
    identity.write_text("")
    identity.chmod(0o644 if is_open else 0o640)
    configuration = load(tmp_path, file_backup(), env=f"\nAGE_IDENTITY_FILE={identity}\n")
    warning = f".env:2:1: Every user can read the private key in AGE_IDENTITY_FILE. Run: chmod 600 {identity}"
    assert warnings_of(configuration) == ([warning] if is_open else [])
    assert configuration.identity_file == identity
