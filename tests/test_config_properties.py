"""What holds for any text, any bytes and any configuration.

``HOLDFAST_EXAMPLES=10 .venv/bin/python -m pytest tests/test_config_properties.py`` tries ten times as many.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

import bech32
from config import load_configuration
from config.schema import KEY_NAMES
from errors import ConfigurationError
from model import Backup, CommandSource, DatabaseSource, DockerContainer, Secret
from tests.support.configurations import IN_REAL_USE, load, write

# Stands where the password stands, and may stand in no message.
CANARY = "cAnArY7x"

TIMES = int(os.environ.get("HOLDFAST_EXAMPLES", "1"))

Tree = dict[str, object]


@contextmanager
def new_folder() -> Iterator[Path]:
    """A folder for one example; pytest's would be the same for all of them."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


# --- any text -----------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


class Password(str):
    """A text that the YAML emitter writes in a style of its own."""

    __slots__ = ()


@pytest.mark.parametrize("style", [None, "'", '"', "|", ">"])
@given(text=TEXTS)
@example("0123")
@example("null")
@example("~")
@example("")
@example("12:30")
@example("*/5")
@example("${HOME}")
@example("$${")
@example("# no comment")
@example(" \n x \n\n")
@example("\ufeff\u2028\x85\t\r\n")
@settings(max_examples=60 * TIMES)
def test_any_password_comes_out_as_it_went_in(style: str | None, text: str) -> None:
    info = {"PASSWORD": Password(text.replace("${", "$${")), "NAME": "shop"}
    backup = {"DB_INFO": info, "INTERVALS": "@daily", "UPLOAD_TO": {"STORAGE_NAME": "LOCAL"}}
    tree = {"PROJECTS": {"NAME": "shop", "BACKUPS": {"DB_BACKUP": backup}}}
    with new_folder() as folder:
        (loaded,) = load(folder, yaml.dump(tree, Dumper=dumper(style, text), allow_unicode=True)).backups
    assert isinstance(loaded.source, DatabaseSource)
    assert loaded.source.password is not None
    assert loaded.source.password.reveal() == text


class PlainDumper(yaml.SafeDumper):
    """Writes everything out, without anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True


@given(name=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip), text=TEXTS)
@example(name="-c", text="")
@example(name="a=b'c\"d`e;$(f)\\", text="'")
@settings(max_examples=60 * TIMES)
def test_any_name_argument_and_variable_comes_out_as_it_went_in(name: str, text: str) -> None:
    """What becomes arguments and variables of programs: quotes, blanks and dashes are just these characters."""
    written, argument = name.replace("${", "$${"), text.replace("${", "$${")
    common = {"INTERVALS": "@daily", "UPLOAD_TO": {"STORAGE_NAME": "LOCAL"}, "BEFORE": ["a", argument]}
    database = {"DB_INFO": {"NAME": [written], "USERNAME": written}, **common}
    command = {
        "COMMAND": ["a", argument],
        "FILENAME": "a",
        "ENVIRONMENT": {"A": argument},
        "DOCKER": {"COMPOSE_SERVICE": f"x{written}"},
        **common,
    }
    tree = {"PROJECTS": {"NAME": "shop", "BACKUPS": {"DB_BACKUP": database, "COMMAND_BACKUP": command}}}
    with new_folder() as folder:
        # In double quotes, which hold any character.
        first, second = load(folder, yaml.dump(tree, Dumper=PlainDumper, default_style='"')).backups
    assert first.source == DatabaseSource("postgres", (name,), name)
    assert second.source == CommandSource(("a", text), "a", {"A": Secret(text)})
    assert second.docker == DockerContainer(compose_service=f"x{name}")
    assert first.hooks.before == second.hooks.before == ("a", text)


def dumper(style: str | None, text: str) -> type[yaml.SafeDumper]:
    """Writes the password in ``style`` where YAML can; the emitter itself takes double quotes where it cannot.

    Line breaks that are no line feed survive in double quotes only (YAML 1.1, 5.4), which it does not look after.
    """
    possible = '"' if any(character in text for character in "\r\x85\u2028\u2029\ufeff") else style

    class Dumper(yaml.SafeDumper):
        pass

    def represent(self: yaml.SafeDumper, value: Password) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", str(value), style=possible)

    Dumper.add_representer(Password, represent)
    return Dumper


# --- any bytes ----------------------------------------------------------------------------------------------------

REAL = IN_REAL_USE.replace("aB1cD2eF3", CANARY).encode()
PIECES = st.binary(max_size=6) | st.sampled_from(
    [
        b"\t",
        b"- ",
        b": ",
        b":",
        b"\n",
        b"    ",
        b"[",
        b"]",
        b"{",
        b"}",
        b"${",
        b"*",
        b"&a ",
        b"!",
        b'"',
        b"'",
        b"#",
        b"|",
        b"~",
    ]
)


def load_or_problems(data: bytes) -> str:
    """The problems as text. Raises anything that is no ConfigurationError."""
    with new_folder() as folder:
        try:
            load_configuration(write(folder, data), {})
        except ConfigurationError as error:
            return str(error)
        return ""


@given(st.binary(max_size=200))
@settings(max_examples=150 * TIMES)
def test_any_bytes_give_nothing_but_problems(data: bytes) -> None:
    assert load_or_problems(data)


@given(st.integers(0, len(REAL)), st.integers(0, 40), PIECES)
@settings(max_examples=300 * TIMES)
def test_any_slip_in_a_good_file_gives_nothing_but_problems_without_the_password(
    start: int, length: int, piece: bytes
) -> None:
    assert CANARY not in load_or_problems(REAL[:start] + piece + REAL[start + length :])


@given(st.dictionaries(st.sampled_from(["PROJECTS", "STORAGES", "DEFAULTS"]), st.deferred(lambda: TREES), min_size=1))
@settings(max_examples=150 * TIMES)
def test_any_tree_gives_nothing_but_problems(tree: Tree) -> None:
    load_or_problems(yaml.dump(tree, allow_unicode=True).encode())
    assert load_or_problems(yaml.dump(tree | {"PROJECT": None}, allow_unicode=True).encode())


KEYS = st.sampled_from(sorted(KEY_NAMES | {"OTHER"}))
LEAVES = st.none() | st.sampled_from(
    [
        "LOCAL",
        "S3",
        "postgres",
        "mariadb",
        "sqlite",
        "*",
        "@daily",
        "/srv",
        "2h",
        "yes",
        "1",
        "zstd",
        "${X}",
        "~",
        "a b",
        "",
    ]
)
TREES: st.SearchStrategy[object] = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)


# --- any configuration --------------------------------------------------------------------------------------------

WORDS = st.text(st.sampled_from("abcxyz019_"), min_size=1, max_size=8)
NAMES = st.text(st.sampled_from("abcXYZ019 _-.é"), min_size=1, max_size=12).filter(
    lambda text: any(map(str.isalnum, text))
)
PATHS = st.lists(WORDS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
INTERVALS = st.builds("{} {} * * *".format, st.integers(0, 59), st.integers(0, 23)) | st.sampled_from(
    ["@daily", "@weekly"]
)


def one_or_several(values: st.SearchStrategy[str]) -> st.SearchStrategy[object]:
    return values | st.lists(values, min_size=1, max_size=3, unique=True)


TARGETS = st.builds(
    lambda storage, path: {"STORAGE_NAME": storage} | path,
    st.sampled_from(["LOCAL", "S3", "ONEDRIVE"]),
    st.fixed_dictionaries({}, optional={"PATH": PATHS}),
)
COMMON = {
    "UPLOAD_TO": st.lists(TARGETS, min_size=1, max_size=3, unique_by=lambda target: target["STORAGE_NAME"]),
}
PROGRAMS = st.lists(WORDS, min_size=1, max_size=3) | WORDS
SERVERS = {"USERNAME": WORDS, "PORT": st.integers(1, 65535), "KEY_FILE": PATHS, "PASSWORD": WORDS}
JUMPS = st.fixed_dictionaries({"IP_ADDRESS": st.just("192.0.2.1")}, optional=SERVERS)
CONTAINERS = st.one_of(
    st.fixed_dictionaries({"CONTAINER_NAME": WORDS}),
    st.fixed_dictionaries({"COMPOSE_SERVICE": WORDS}, optional={"COMPOSE_PROJECT": WORDS}),
    st.fixed_dictionaries({"LABEL": st.builds("{}={}".format, WORDS, WORDS) | WORDS}),
    st.fixed_dictionaries({"VOLUME": WORDS}, optional={"DOCKER_HOST": st.just("unix:///run/docker.sock")}),
)
OPTIONAL = {
    "SSH": st.fixed_dictionaries({"HOST": st.just("example.com")}, optional={**SERVERS, "JUMP_HOST": JUMPS}),
    "DOCKER": CONTAINERS,
    # Capitals, as no container that is read may stand still.
    "STOP_CONTAINERS": st.dictionaries(
        st.sampled_from(["CONTAINER_NAME", "LABEL", "COMPOSE_PROJECT"]),
        one_or_several(WORDS.map("STOP {}".format)),
        min_size=1,
    ),
    "BEFORE": PROGRAMS,
    "AFTER": PROGRAMS,
    "ON_FAILURE": PROGRAMS,
    "TIMEOUT": st.builds("{}{}".format, st.integers(1, 30), st.sampled_from("smhd")),
    "RETRIES": st.integers(0, 10),
    "KEEP": st.dictionaries(st.sampled_from(["LAST", "DAILY", "YEARLY"]), st.integers(1, 99)),
    "ENABLED": st.booleans(),
    "COMPRESSION": st.fixed_dictionaries({"METHOD": st.just("zstd")}, optional={"LEVEL": st.integers(1, 19)}),
    "VERIFY": st.fixed_dictionaries(
        {"INTERVALS": one_or_several(INTERVALS)},
        optional={
            "SAMPLE": st.integers(1, 100).map("{}%".format),
            "HEAL": st.booleans(),
            "DRILL": st.fixed_dictionaries({"INTERVALS": one_or_several(INTERVALS)}, optional={"FOLDER": PATHS}),
        },
    ),
}
# Two is the first byte of no key that is refused.
RECIPIENTS = st.binary(min_size=31, max_size=31).map(lambda key: bech32.encode("age", b"\2" + key))
ENCRYPTED: st.SearchStrategy[Tree] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"ENCRYPT_TO": st.just("none") | one_or_several(RECIPIENTS)}),
    st.fixed_dictionaries({"ENCRYPT_PASSPHRASE": WORDS}),
)
FILES = st.fixed_dictionaries(
    {"INTERVALS": one_or_several(INTERVALS), "FILE_PATH": one_or_several(PATHS), **COMMON},
    optional={**OPTIONAL, "EXCLUDE": one_or_several(WORDS)},
)
SERVER_INFO = {"USERNAME": WORDS, "PASSWORD": WORDS, "HOST": PATHS, "PORT": st.integers(1, 65535)}
DATABASE_NAMES = one_or_several(WORDS) | st.just("*")
INFOS = st.one_of(
    st.fixed_dictionaries({"NAME": DATABASE_NAMES}, optional={**SERVER_INFO, "SSLMODE": st.just("require")}),
    st.fixed_dictionaries({"NAME": DATABASE_NAMES, "SERVICE": WORDS}, optional={"SSLROOTCERT": PATHS}),
    st.fixed_dictionaries(
        {"TYPE": st.sampled_from(["mariadb", "mysql"]), "NAME": DATABASE_NAMES},
        optional={**SERVER_INFO, "SSL_CA": PATHS},
    ),
    st.fixed_dictionaries({"TYPE": st.just("sqlite"), "FILE_PATH": one_or_several(PATHS)}),
)
DATABASES = st.fixed_dictionaries(
    {"INTERVALS": one_or_several(INTERVALS), "DB_INFO": INFOS, **COMMON}, optional=OPTIONAL
)
COMMANDS = st.fixed_dictionaries(
    {"INTERVALS": one_or_several(INTERVALS), "COMMAND": PROGRAMS, "FILENAME": WORDS, **COMMON},
    optional={**OPTIONAL, "ENVIRONMENT": st.dictionaries(WORDS.map("A{}".format), WORDS, max_size=3)},
)
KINDS = {
    kind: st.builds(dict.__or__, backups, ENCRYPTED)
    for kind, backups in {"FILE_BACKUP": FILES, "DB_BACKUP": DATABASES, "COMMAND_BACKUP": COMMANDS}.items()
}
PROJECTS = st.lists(
    st.tuples(NAMES, st.fixed_dictionaries({kind: st.lists(backups, max_size=2) for kind, backups in KINDS.items()})),
    min_size=1,
    max_size=3,
)


@given(PROJECTS)
@settings(max_examples=60 * TIMES)
def test_any_configuration_is_the_same_in_both_spellings(
    projects: Sequence[tuple[str, Mapping[str, Sequence[Tree]]]],
) -> None:
    # NAME comes first everywhere: in the spelling with single keys, a key that the entry before has begins the next.
    plain: list[Tree] = []
    single: list[Tree] = []
    for number, (name, kinds) in enumerate(projects):
        named = f"{name} {number}"
        backups_of = {
            kind: [{"NAME": f"{kind} {index}", **backup} for index, backup in enumerate(backups)]
            for kind, backups in kinds.items()
        }
        plain.append({"NAME": named, "BACKUPS": backups_of})
        single += [
            {"NAME": named},
            {"BACKUPS": [{f"{kind}S": single_keys(backups)} for kind, backups in backups_of.items()]},
        ]
    with new_folder() as folder:
        backups = without_lines(load(folder, yaml.dump({"PROJECTS": plain}, sort_keys=False)).backups)
        assert len(backups) == sum(len(backups) for _, kinds in projects for backups in kinds.values())
        assert without_lines(load(folder, yaml.dump({"PROJECTS": single}, sort_keys=False)).backups) == backups


def single_keys(maps: Sequence[Mapping[str, object]]) -> list[Tree]:
    entries = [{key: value} for entry in maps for key, value in entry.items()]
    return [
        {key: single_keys(value) if key == "UPLOAD_TO" and isinstance(value, list) else value}
        for entry in entries
        for key, value in entry.items()
    ]


def without_lines(backups: Sequence[Backup]) -> list[Backup]:
    return [replace(backup, line=0) for backup in backups]
