"""VERIFY, DRILL and ONLY: what is meant, and what DEFAULTS says of them to each kind of backup."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import Assertion, DrillPlan, Period, VerifyPlan
from tests.support.configurations import HOME, command_backup, db_backup, file_backup, load

QUESTION = "select count(*) > 100 from users"
DAILY = ("@daily",)
DEFAULTS = f"""\
DEFAULTS:
  VERIFY:
    INTERVALS: "@daily"
    DRILL:
      INTERVALS: "@weekly"
      ASSERT: {QUESTION}
      ASSERT_IN: {{blog: select 1, /srv/shop.db: select 2}}
"""
EVERY_KIND = file_backup() + "".join(other.split("BACKUPS:\n")[1] for other in (db_backup(), command_backup()))


def plan(folder: Path, text: str) -> VerifyPlan | None:
    (backup,) = load(folder, text).backups
    return backup.verify


def assertions(folder: Path, text: str) -> tuple[Assertion, ...]:
    (backup,) = load(folder, text).backups
    assert backup.verify is not None and backup.verify.drill is not None
    return backup.verify.drill.assertions


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", None),
        ('{INTERVALS: "@daily"}', VerifyPlan(DAILY, 10, heal=False)),
        (
            '{INTERVALS: ["@daily", "0  5 * * 0"], SAMPLE: 1%, HEAL: yes}',
            VerifyPlan(("@daily", "0 5 * * 0"), 1, heal=True),
        ),
        ('{INTERVALS: "@daily", SAMPLE: "100 %"}', VerifyPlan(DAILY, 100)),
        ('{DRILL: {INTERVALS: "@daily"}}', VerifyPlan(drill=DrillPlan(DAILY))),
        (
            '{DRILL: {INTERVALS: ["@daily", "@weekly"], FOLDER: ~/drills/}}',
            VerifyPlan(drill=DrillPlan(("@daily", "@weekly"), folder=f"{HOME}/drills")),
        ),
        ('{INTERVALS: [], DRILL: {INTERVALS: "@daily"}}', VerifyPlan(drill=DrillPlan(DAILY))),
        ("{INTERVALS: []}", None),
    ],
)
def test_plans(written: str, meant: VerifyPlan | None, tmp_path: Path) -> None:
    assert plan(tmp_path, file_backup(VERIFY=written)) == meant


def test_a_question_may_have_several_lines(tmp_path: Path) -> None:
    written = "{DRILL: {INTERVALS: '@daily', ASSERT: [a, \"select 1\\nfrom users;\\n\"]}}"
    assert assertions(tmp_path, db_backup(VERIFY=written)) == (Assertion("a"), Assertion("select 1\nfrom users;"))


@pytest.mark.parametrize("names", ["[shop, blog]", '"*"'])
def test_questions_to_several_databases(names: str, tmp_path: Path) -> None:
    written = "{DRILL: {INTERVALS: '@daily', ASSERT_IN: {shop: select 1, blog: select 2}}}"
    text = db_backup(DB_INFO=f"{{NAME: {names}}}", VERIFY=written)
    assert assertions(tmp_path, text) == (Assertion("select 1", "shop"), Assertion("select 2", "blog"))


def test_a_question_by_name_to_the_only_database(tmp_path: Path) -> None:
    written = "{DRILL: {INTERVALS: '@daily', ASSERT: select 1, ASSERT_IN: {shop: select 2}}}"
    assert assertions(tmp_path, db_backup(VERIFY=written)) == (Assertion("select 1"), Assertion("select 2", "shop"))


def test_databases_of_sqlite_are_named_by_their_paths(tmp_path: Path) -> None:
    written = "{DRILL: {INTERVALS: '@daily', ASSERT_IN: {/srv//a.db: select 1, ~/b.db: select 2}}}"
    text = db_backup(DB_INFO="{TYPE: sqlite, FILE_PATH: [/srv/a.db, ~/b.db]}", VERIFY=written)
    assert assertions(tmp_path, text) == (Assertion("select 1", "/srv/a.db"), Assertion("select 2", f"{HOME}/b.db"))


# --- DEFAULTS -----------------------------------------------------------------------------------------------------


def test_a_plan_of_defaults_is_for_every_kind_and_its_questions_for_databases(tmp_path: Path) -> None:
    files, database, command = (backup.verify for backup in load(tmp_path, DEFAULTS + EVERY_KIND).backups)
    assert files == command == VerifyPlan(DAILY, drill=DrillPlan(("@weekly",)))
    assert database == VerifyPlan(DAILY, drill=DrillPlan(("@weekly",), (Assertion(QUESTION),)))


def test_a_question_by_name_of_defaults_is_for_the_backups_of_this_database(tmp_path: Path) -> None:
    defaults = DEFAULTS.replace(f"      ASSERT: {QUESTION}\n", "")
    for info, meant in (
        ("{NAME: [shop, blog]}", (Assertion("select 1", "blog"),)),
        ("{NAME: shop}", ()),
        ("{TYPE: sqlite, FILE_PATH: [/srv/shop.db, /a]}", (Assertion("select 2", "/srv/shop.db"),)),
    ):
        assert assertions(tmp_path, defaults + db_backup(DB_INFO=info)) == meant


def test_a_plan_in_a_backup_takes_the_place_of_the_whole_plan_of_defaults(tmp_path: Path) -> None:
    assert plan(tmp_path, DEFAULTS + db_backup(VERIFY="{INTERVALS: '@monthly'}")) == VerifyPlan(("@monthly",))
    assert plan(tmp_path, DEFAULTS + db_backup(VERIFY="{INTERVALS: []}")) is None


# --- ONLY ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HOURLY", Period.HOUR),
        ("DAILY", Period.DAY),
        ("weekly", Period.WEEK),
        ("Monthly", Period.MONTH),
        ("YEARLY", Period.YEAR),
        ("", None),
    ],
)
def test_a_target_that_takes_only_some_copies(written: str, meant: Period | None, tmp_path: Path) -> None:
    targets = f"[{{STORAGE_NAME: LOCAL, PATH: a}}, {{STORAGE_NAME: LOCAL, PATH: b, ONLY: {written}}}]"
    (backup,) = load(tmp_path, file_backup(UPLOAD_TO=targets)).backups
    assert [target.only for target in backup.targets] == [None, meant]
