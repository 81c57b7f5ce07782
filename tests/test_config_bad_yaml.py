"""Files that are not plain YAML: each with the place and the words of its problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.configurations import errors_of, file_backup

ANCHOR = (
    "A value that begins with `&` is a YAML anchor, and anchors are not read. Put quotes "
    "around a text; to say something once for several backups, use DEFAULTS or write it out."
)
ALIAS = (
    "A value that begins with `*` is a YAML alias, and aliases are not read. Put quotes around "
    "a text or a cron expression; to say something once for several backups, use DEFAULTS or "
    "write it out."
)
TAG = "A value that begins with `!` is a YAML tag, and tags are not read. Put quotes around a text."
STAR = 'A value cannot begin with `*` in YAML. Put quotes around the whole value, for example "*" or "*/5 * * * *".'
TAB = "A tab stands here, and YAML is indented with spaces only. Replace the tab by spaces."
EMPTY = "This file is empty. Write `PROJECTS:` and the projects below it."
UNFIT = "keys of one map start in the same column, and a list has a column of its own."

BAD: list[tuple[str, str | bytes, list[str]]] = [
    ("an empty file", "", [f"1:1: {EMPTY}"]),
    ("only a comment", "# nothing\n", [f"1:1: {EMPTY}"]),
    ("only a document start", "---\n", [f"1:1: {EMPTY}"]),
    ("only blanks", "  \n\n", [f"1:1: {EMPTY}"]),
    ("an empty map", "{}\n", [f"1:1: {EMPTY}"]),
    (
        "a list at the top",
        "- PROJECTS: []\n",
        ["1:1: A list stands at the top of the file. Write `PROJECTS:` first, and the list below it."],
    ),
    (
        "a text at the top",
        "PROJECTS\n",
        ["1:1: A text stands at the top of the file. Write `PROJECTS:` and the projects below it."],
    ),
    (
        "a quoted text at the top",
        '"PROJECTS: []"\n',
        ["1:1: A text stands at the top of the file. Write `PROJECTS:` and the projects below it."],
    ),
    (
        "two documents",
        "PROJECTS: []\n---\nPROJECTS: []\n",
        ["2:1: A second YAML document begins here (`---`). Write everything in one document."],
    ),
    (
        "text after the end of the document",
        "PROJECTS: []\n...\nDEFAULTS: {}\n",
        ["3:1: The text above ended the document. Indent this line like the rest, or remove the `...`."],
    ),
    ("a tab as indentation", "PROJECTS:\n\t- NAME: shop\n", [f"2:1: {TAB}"]),
    ("a tab after blanks", "PROJECTS:\n  - NAME: shop\n  \t  BACKUPS:\n", [f"3:3: {TAB}"]),
    ("a tab below a value", "PROJECTS:\n  - NAME: shop\n\tBACKUPS:\n", [f"3:1: {TAB}"]),
    ("a tab in a block text", "PROJECTS:\n  - NAME: |\n\tshop\n", [f"3:1: {TAB}"]),
    (
        "a duplicate key at the top",
        "PROJECTS: []\nPROJECTS: []\n",
        ["2:1: This key stands in this map already, in line 1. Keep one of the two."],
    ),
    (
        "a duplicate key in a backup",
        file_backup() + "            FILE_PATH: /etc\n",
        ["8:13: This key stands in this map already, in line 6. Keep one of the two."],
    ),
    (
        "a duplicate key in brackets",
        file_backup(UPLOAD_TO="{PATH: a, STORAGE_NAME: LOCAL, PATH: b}"),
        ["7:55: This key stands in this map already, in line 7. Keep one of the two."],
    ),
    ("an anchor on a map", "PROJECTS: &all []\n", [f"1:11: {ANCHOR}"]),
    ("an anchor on a text", file_backup(FILE_PATH="&path /srv"), [f"6:24: {ANCHOR}"]),
    ("an alias", file_backup(FILE_PATH="*path"), [f"6:24: {ALIAS}"]),
    (
        "an anchor and its alias",
        "PROJECTS:\n  - NAME: &name shop\n  - NAME: *name\n",
        [f"2:11: {ANCHOR}", f"3:11: {ALIAS}"],
    ),
    (
        "a merge key",
        "PROJECTS:\n  - NAME: shop\n    <<: {ENABLED: no}\n",
        ["3:5: `<<` is a YAML merge key, and merge keys are not read. Write it out or use DEFAULTS."],
    ),
    (
        "an alias bomb",
        "A: &a [x, x]\nB: &b [*a, *a]\nPROJECTS: [*b, *b]\n",
        [f"1:4: {ANCHOR}", f"2:4: {ANCHOR}", f"2:8: {ALIAS}", f"2:12: {ALIAS}", f"3:12: {ALIAS}", f"3:16: {ALIAS}"],
    ),
    ("an alias as a key", "PROJECTS: []\n*name : x\n", [f"2:1: {ALIAS}"]),
    ("a cron expression without quotes", file_backup(INTERVALS="* 2 * * *"), [f"5:24: {STAR}"]),
    ("a cron step without quotes", file_backup(INTERVALS="*/5 * * * *"), [f"5:24: {STAR}"]),
    (
        "a cron expression without quotes in a list",
        "PROJECTS:\n"
        "  - NAME: shop\n"
        "    BACKUPS:\n"
        "      - FILE_BACKUP:\n"
        "          - INTERVALS:\n"
        "              - * * * * *\n",
        [f"6:17: {STAR}"],
    ),
    (
        "an @ name without quotes",
        file_backup(INTERVALS="@daily"),
        ['5:24: A value cannot begin with `@` in YAML. Put quotes around the whole value, for example "@daily".'],
    ),
    (
        "a value that begins with a percent sign",
        file_backup(FILE_PATH="%home"),
        ["6:24: A value cannot begin with `%` in YAML. Put quotes around the whole value."],
    ),
    (
        "a value that begins with a grave accent",
        file_backup(FILE_PATH="`home`"),
        ["6:24: A value cannot begin with a backtick in YAML. Put quotes around the whole value."],
    ),
    (
        "a lone ampersand",
        file_backup(FILE_PATH="& x"),
        ["6:24: A value cannot begin with `&` in YAML. Put quotes around the whole value."],
    ),
    ("a tag", file_backup(FILE_PATH="!!str /srv"), [f"6:24: {TAG}"]),
    ("a tag of its own", file_backup(FILE_PATH="!path /srv"), [f"6:24: {TAG}"]),
    ("a tag that would run code", 'PROJECTS: !!python/object/apply:os.system ["true"]\n', [f"1:11: {TAG}"]),
    (
        "a tag that is none",
        "PROJECTS: !<\n",
        ["1:11: A value cannot begin with `!` in YAML. Put quotes around the whole value."],
    ),
    (
        "an unknown directive",
        "%INCLUDE other.yaml\n---\nPROJECTS: []\n",
        ["1:1: A line that begins with `%` is a YAML directive, and this one is not known. Remove it."],
    ),
    (
        "a double quote that is never closed",
        'PROJECTS:\n  - NAME: "shop\n',
        ["2:11: The quote that opens here is never closed. Add the closing quote."],
    ),
    (
        "a single quote that is never closed",
        "PROJECTS:\n  - NAME: 'shop\n",
        ["2:11: The quote that opens here is never closed. Add the closing quote."],
    ),
    (
        "a quote that a document end cuts",
        'PROJECTS:\n  - NAME: "shop\n---\n',
        ["2:11: The quote that opens here is never closed. Add the closing quote."],
    ),
    (
        "an unknown escape",
        'PROJECTS:\n  - NAME: "sh\\op"\n',
        [
            "2:14: In double quotes `\\` begins an escape, and this one is not known. Write `\\\\`, or "
            "use single quotes."
        ],
    ),
    (
        "an escape that is half of a character",
        'PROJECTS:\n  - NAME: "\\ud800"\n',
        [
            "2:14: In double quotes `\\` begins an escape, and this one is not known. Write `\\\\`, or "
            "use single quotes."
        ],
    ),
    (
        "text after a quoted value",
        'PROJECTS:\n  - NAME: "shop" one\n',
        ["2:18: Something stands after the end of the value. Put quotes around the whole value, or begin a new line."],
    ),
    (
        "a bracket that is never closed",
        "PROJECTS: [\n  {NAME: shop}\n",
        ["3:1: The `[` of line 1, column 11 is not closed before this. Add `]`, or a comma between its entries."],
    ),
    (
        "a brace that is never closed",
        "PROJECTS:\n  - {NAME: shop\n  - {NAME: blog}\n",
        ["3:5: The `{` of line 2, column 5 is not closed before this. Add `}`, or a comma between its entries."],
    ),
    (
        "an end where a value must stand",
        "PROJECTS: [{NAME: shop},\n",
        ["2:1: The file ends or a line ends where a value must stand. Is a bracket above not closed?"],
    ),
    (
        "a closing bracket alone",
        "PROJECTS: ]\n",
        ["1:11: A value cannot begin with `]`. Put quotes around the whole value, or remove it."],
    ),
    (
        "a variable in brackets without quotes",
        file_backup(FILE_PATH="[${CONFIG_DIR}/docs]"),
        ['6:26: In brackets a variable must be quoted. Write "${NAME}" with the quotes.'],
    ),
    (
        "a second colon in a value",
        "PROJECTS:\n  - NAME: shop: one\n",
        ["2:15: A second colon followed by a blank stands in this value. Put quotes around the whole value."],
    ),
    (
        "a list on the line of its key",
        "PROJECTS: - NAME: shop\n",
        ["1:11: A list cannot begin here. Write its first `- ` on a line of its own."],
    ),
    (
        "a line without a colon",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS\n    ENABLED: no\n",
        ["3:5: This line is not `KEY: value`. Write a colon and a blank after the key."],
    ),
    (
        "a key without a blank after its colon",
        "PROJECTS:\n  - NAME:shop\n    BACKUPS:\n",
        ["2:5: This line is not `KEY: value`. Write a colon and a blank after the key."],
    ),
    (
        "a key too far to the right",
        "PROJECTS:\n  - NAME: shop\n      ENABLED: no\n",
        [
            "3:7: ENABLED stands too far to the right: the line above has a value already. Start it in "
            "column 5, below NAME of line 2."
        ],
    ),
    (
        "a key too far to the left",
        "PROJECTS:\n  - NAME: shop\n    BACKUPS:\n   ENABLED: no\n",
        [
            "4:4: ENABLED is too far to the left to belong to the item above. Start it in column 5, "
            "below NAME of line 2; a new item needs `- `."
        ],
    ),
    (
        "a key in the column of the dashes",
        "PROJECTS:\n  - NAME: shop\n  ENABLED: no\n",
        [
            "3:3: ENABLED is too far to the left to belong to the item above. Start it in column 5, "
            "below NAME of line 2; a new item needs `- `."
        ],
    ),
    (
        "a dash in the column of the keys",
        "PROJECTS:\n  - NAME: shop\n    - ENABLED: no\n",
        [f"3:5: This line does not fit the lines above. It ends up in the map of line 2, column 5: {UNFIT}"],
    ),
    (
        "a dash among the keys of a map",
        'DEFAULTS:\n  INTERVALS: "0 2 * * *"\n  - SSH\n',
        [f"3:3: This line does not fit the lines above. It ends up in the map of line 2, column 3: {UNFIT}"],
    ),
    (
        "an unknown word in the column of the dashes",
        "PROJECTS:\n  - NAME: shop\n  other: no\n",
        [
            "3:3: This key is too far to the left to belong to the item above. Start it in column 5, "
            "below NAME of line 2; a new item needs `- `."
        ],
    ),
    ("a list as a key", "? [a]\n: b\n", ["1:3: A key must be a word, not a list or a map."]),
    ("a map as a key", "PROJECTS: [{? {a: b} : c}]\n", ["1:15: A key must be a word, not a list or a map."]),
    (
        "too deep",
        "PROJECTS: " + "[" * 40 + "]" * 40 + "\n",
        ["1:42: Maps and lists are nested more than 32 deep here."],
    ),
    ("far too deep", "[" * 100_000, ["1:33: Maps and lists are nested more than 32 deep here."]),
    ("far too deep in braces", "{a: " * 100_000, ["1:129: Maps and lists are nested more than 32 deep here."]),
    (
        "a NUL",
        "PROJECTS:\n  - NAME: sh\0op\n",
        ["2:13: The character U+0000 cannot stand in YAML. Remove it, or write it as an escape in double quotes."],
    ),
    (
        "a control character",
        "PROJECTS:\n  - NAME: sh\aop\n",
        ["2:13: The character U+0007 cannot stand in YAML. Remove it, or write it as an escape in double quotes."],
    ),
    (
        "a line separator that no editor shows",
        "PROJECTS:\n  - NAME: sh\u2028op\n",
        ["2:13: The character U+2028 cannot stand in YAML. Remove it, or write it as an escape in double quotes."],
    ),
    (
        "a byte order mark in the middle",
        "PROJECTS:\n\ufeff  - NAME: shop\n",
        ["2:1: The character U+FEFF cannot stand in YAML. Remove it, or write it as an escape in double quotes."],
    ),
    ("UTF-16", "PROJECTS: []\n".encode("utf-16"), ["1:1: This file is saved as UTF-16. Save it as UTF-8."]),
    (
        "UTF-16, big-endian",
        b"\xfe\xff" + "PROJECTS: []\n".encode("utf-16-be"),
        ["1:1: This file is saved as UTF-16. Save it as UTF-8."],
    ),
    ("UTF-32", "PROJECTS: []\n".encode("utf-32"), ["1:1: This file is saved as UTF-32. Save it as UTF-8."]),
    (
        "UTF-16 without a mark",
        "PROJECTS: []\n".encode("utf-16-le"),
        ["1:2: The character U+0000 cannot stand in YAML. Remove it, or write it as an escape in double quotes."],
    ),
    (
        "a byte that is not UTF-8",
        b"PROJECTS:\n  - NAME: caf\xe9\n",
        ["2:14: The byte 0xe9 is not UTF-8 text. Save the file as UTF-8."],
    ),
    (
        "a byte that is not UTF-8 after one that is two bytes wide",
        b"# \xc3\xa9 \xff\nPROJECTS: []\n",
        ["1:5: The byte 0xff is not UTF-8 text. Save the file as UTF-8."],
    ),
    (
        "a byte that is not UTF-8 after carriage returns",
        b"A: b\r\nC: \xfe\r\n",
        ["2:4: The byte 0xfe is not UTF-8 text. Save the file as UTF-8."],
    ),
    (
        "a cut character at the end",
        b"PROJECTS: []\n# \xe2\x82",
        ["2:3: The byte 0xe2 is not UTF-8 text. Save the file as UTF-8."],
    ),
    (
        "a text of 10 MB",
        "PROJECTS:\n  - NAME: " + "a" * 10_000_000 + "\n",
        ["1:1: This file is larger than 4,000,000 bytes."],
    ),
    ("10 MB of nothing", b"\0" * 10_000_000, ["1:1: This file is larger than 4,000,000 bytes."]),
    (
        "more values than any crontab has lines",
        "PROJECTS: [" + "1," * 600_000 + "]",
        ["1:1000006: The file holds more than 500,000 values."],
    ),
    (
        "errors after carriage returns",
        "PROJECTS:\r\n  - NAME: shop\r\n    ENABLD: no\r\n",
        ["3:5: PROJECTS does not know ENABLD: did you mean ENABLED?"],
    ),
    (
        "errors after a byte order mark",
        "\ufeffPROJECT: []\n",
        ["1:1: config.yaml does not know PROJECT: did you mean PROJECTS?"],
    ),
]


@pytest.mark.parametrize(("text", "problems"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_bad_configuration_is_named_with_its_place(text: str | bytes, problems: list[str], tmp_path: Path) -> None:
    assert errors_of(tmp_path, text) == problems
