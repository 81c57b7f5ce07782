"""Intervals that cron and cronsim do not both read alike: each with the place and the words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import errors_of, file_backup

NO_FIVE_FIELDS = "must have five fields (minute, hour, day of the month, month, day of the week), not"
NO_MINUTE = (
    "has a minute (field 1) that cron does not know: it can be 0 to 59, `*`, a list `1,2`, a "
    "range `1-5`, or a step `*/2` or `10-50/5`."
)
NO_HOUR = (
    "has an hour (field 2) that cron does not know: it can be 0 to 23, `*`, a list `1,2`, a "
    "range `1-5`, or a step `*/2` or `10-50/5`."
)
NO_DAY = (
    "has a day of the month (field 3) that cron does not know: it can be 1 to 31, `*`, a list "
    "`1,2`, a range `1-5`, or a step `*/2` or `10-50/5`."
)
NO_MONTH = (
    "has a month (field 4) that cron does not know: it can be 1 to 12 or JAN to DEC, `*`, a "
    "list `1,2`, a range `1-5`, or a step `*/2` or `10-50/5`."
)
NO_WEEKDAY = (
    "has a day of the week (field 5) that cron does not know: it can be 0 to 7 or SUN to SAT, "
    "where 0 and 7 are Sunday, `*`, a list `1,2`, a range `1-5`, or a step `*/2` or `10-50/5`."
)

BAD: list[tuple[str, str | bytes, list[str]]] = [
    ("a minute of 60", file_backup(INTERVALS='"60 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a range of one with a step", file_backup(INTERVALS='"5-5/10 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("an hour of 24", file_backup(INTERVALS='"0 24 * * *"'), [f"5:24: INTERVALS {NO_HOUR}"]),
    ("a day of 0", file_backup(INTERVALS='"0 0 0 * *"'), [f"5:24: INTERVALS {NO_DAY}"]),
    ("a day of 32", file_backup(INTERVALS='"0 0 32 * *"'), [f"5:24: INTERVALS {NO_DAY}"]),
    ("a month of 13", file_backup(INTERVALS='"0 0 1 13 *"'), [f"5:24: INTERVALS {NO_MONTH}"]),
    ("a month of no name", file_backup(INTERVALS='"0 0 1 foo *"'), [f"5:24: INTERVALS {NO_MONTH}"]),
    ("a weekday of 8", file_backup(INTERVALS='"0 0 * * 8"'), [f"5:24: INTERVALS {NO_WEEKDAY}"]),
    ("four fields", file_backup(INTERVALS='"0 2 * *"'), [f"5:24: INTERVALS {NO_FIVE_FIELDS} 4."]),
    ("six fields", file_backup(INTERVALS='"0 0 2 * * *"'), [f"5:24: INTERVALS {NO_FIVE_FIELDS} 6."]),
    ("no field", file_backup(INTERVALS='""'), ["5:24: INTERVALS must not be empty."]),
    ("a word", file_backup(INTERVALS="daily"), [f"5:24: INTERVALS {NO_FIVE_FIELDS} 1."]),
    ("a step of zero", file_backup(INTERVALS='"*/0 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a step beyond the hour", file_backup(INTERVALS='"*/70 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a step without a range", file_backup(INTERVALS='"5/10 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a range that runs backwards", file_backup(INTERVALS='"0 5-1 * * *"'), [f"5:24: INTERVALS {NO_HOUR}"]),
    ("a list with a gap", file_backup(INTERVALS='"1,,2 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a negative minute", file_backup(INTERVALS='"-1 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("the last day", file_backup(INTERVALS='"0 0 L * *"'), [f"5:24: INTERVALS {NO_DAY}"]),
    ("the last weekday", file_backup(INTERVALS='"0 0 LW * *"'), [f"5:24: INTERVALS {NO_DAY}"]),
    ("the second Monday", file_backup(INTERVALS='"0 0 * * 1#2"'), [f"5:24: INTERVALS {NO_WEEKDAY}"]),
    ("a question mark", file_backup(INTERVALS='"0 0 ? * *"'), [f"5:24: INTERVALS {NO_DAY}"]),
    ("a random minute", file_backup(INTERVALS='"0~59 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    ("a decimal number", file_backup(INTERVALS='"0.5 * * * *"'), [f"5:24: INTERVALS {NO_MINUTE}"]),
    (
        "30 February",
        file_backup(INTERVALS='"0 0 30 2 *"'),
        ["5:24: INTERVALS can never run: no month in it has such a day."],
    ),
    (
        "31 April and June",
        file_backup(INTERVALS='"0 0 31 4,6 *"'),
        ["5:24: INTERVALS can never run: no month in it has such a day."],
    ),
    (
        "31 February on any second weekday",
        file_backup(INTERVALS='"0 0 31 2 */2"'),
        ["5:24: INTERVALS can never run: no month in it has such a day."],
    ),
    (
        "@reboot",
        file_backup(INTERVALS='"@reboot"'),
        [
            "5:24: INTERVALS cannot be @reboot, which says nothing about how often a backup is made; "
            "missed runs are caught up after a reboot anyhow. Write @daily, for example."
        ],
    ),
    (
        "an @ name that is near",
        file_backup(INTERVALS='"@dayly"'),
        ["5:24: INTERVALS has an @ name that cron does not know: the nearest is @daily."],
    ),
    (
        "an @ name that is far",
        file_backup(INTERVALS='"@whenever"'),
        [
            "5:24: INTERVALS has an @ name that cron does not know: it can be @hourly, @daily, "
            "@midnight, @weekly, @monthly, @yearly, @annually."
        ],
    ),
    (
        "a very long one",
        file_backup(INTERVALS="'" + "1," * 120 + "1 * * * *'"),
        ["5:24: INTERVALS is longer than 200 characters."],
    ),
    (
        "a number of very many digits",
        file_backup(INTERVALS="'" + "9" * 150 + " * * * *'"),
        [f"5:24: INTERVALS {NO_MINUTE}"],
    ),
    (
        "one bad interval of three",
        file_backup(INTERVALS='["0 2 * * *", "0 25 * * *", "@daily"]'),
        [f"5:38: INTERVALS {NO_HOUR}"],
    ),
    (
        "an interval twice",
        file_backup(INTERVALS='["0 2 * * *", "0  2 * * *"]'),
        ["5:38: INTERVALS holds this expression twice. Remove one."],
    ),
    (
        "an interval that is a map",
        file_backup(INTERVALS="{HOUR: 2}"),
        ["5:24: INTERVALS must be a value or a list of values, not a map."],
    ),
    (
        "an interval that is a list",
        file_backup(INTERVALS='[["0 2 * * *"]]'),
        ["5:25: Each entry of INTERVALS must be one value, not a list."],
    ),
    (
        "an empty entry",
        "PROJECTS:\n"
        "  - NAME: shop\n"
        "    BACKUPS:\n"
        "      - FILE_BACKUP:\n"
        "          - INTERVALS:\n"
        "              -\n"
        "            FILE_PATH: /srv\n"
        "            UPLOAD_TO: {STORAGE_NAME: LOCAL}\n",
        ["6:16: INTERVALS has an empty entry. Write a value, or remove the dash."],
    ),
    (
        "an interval from DEFAULTS",
        'DEFAULTS: {INTERVALS: ["0 2 * *"]}\nPROJECTS:\n',
        [f"1:24: INTERVALS {NO_FIVE_FIELDS} 4."],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str | bytes, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
