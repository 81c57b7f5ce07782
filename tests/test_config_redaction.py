"""The configuration as it is shown to others: no secret is in it, and whatever else is in the file stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import redacted_lines
from config.schema import CONFIGURATION
from config.shapes import ListOf, MapOf, MapsOf, Scalar, Section, TextMap, Variants
from errors import ConfigurationError

CANARY = "canary-4f0c1b"


def secret_keys(section: Section | Variants, seen: set[int]) -> Iterator[str]:
    """Every spelling of every key, anywhere in the schema, that holds a secret itself."""
    if id(section) in seen:
        return
    seen.add(id(section))
    for each in section.sections.values() if isinstance(section, Variants) else (section,):
        for key in each.keys:
            shape = key.shape
            if isinstance(shape, Scalar) and shape.secret:
                yield from (key.name, *key.aliases)
            elif isinstance(shape, ListOf) and shape.item.secret:
                yield key.name
            elif isinstance(shape, TextMap) and shape.item.secret:
                yield f"{key.name}: {{SOMETHING"
            elif isinstance(shape, MapOf | MapsOf):
                yield from secret_keys(shape.section, seen)


SECRET_KEYS = sorted({key for key in secret_keys(CONFIGURATION, set()) if "{" not in key})
SECRET_NAMES = sorted({key.partition(":")[0] for key in secret_keys(CONFIGURATION, set()) if "{" in key})


def shown(text: str) -> list[str]:
    return redacted_lines(text.encode(), Path("config.yaml"))


def test_the_schema_has_secrets_of_each_kind() -> None:
    assert {"PASSWORD", "SECRET_ACCESS_KEY", "CLIENT_SECRET", "ENCRYPT_PASSPHRASE", "URL"} <= set(SECRET_KEYS)
    assert "ENVIRONMENT" in SECRET_NAMES


@pytest.mark.parametrize("key", SECRET_KEYS)
@pytest.mark.parametrize(
    "value",
    [
        CANARY,
        f'"{CANARY}"',
        f"'it''s {CANARY}'",
        f"[{CANARY}, b]",
        f"{{A: {CANARY}}}",
        f"|\n    first\n    {CANARY}",
        f">-\n    {CANARY}\n    last",
        f"prefix-{CANARY} # {CANARY}",
        f"${{X:-{CANARY}}}",
        f'"${{X}}{CANARY}"',
        f"\n    - {CANARY}\n    - URL: {CANARY}",
    ],
)
def test_no_secret_is_shown(key: str, value: str) -> None:
    text = f"PROJECTS:\n- NAME: shop\n  {key}: {value}\nSTORAGES: []\n"
    lines = shown(text)
    assert CANARY not in "\n".join(lines)
    assert len(lines) == len(text.split("\n"))
    assert lines[:2] == ["PROJECTS:", "- NAME: shop"]
    assert lines[-2] == "STORAGES: []"


@pytest.mark.parametrize("key", SECRET_NAMES)
def test_names_of_the_user_are_shown_and_their_values_are_not(key: str) -> None:
    (line, _) = shown(f"{key}: {{TOKEN: {CANARY}, TZ: UTC}}\n")
    assert line == f"{key}: {{TOKEN: ****, TZ: UTC}}"


@pytest.mark.parametrize(
    "line",
    [
        f"PASWORD: {CANARY}",
        f"# {CANARY}",
        f"NAME: shop # PASSWORD was {CANARY}",
        f"DB_INFO: {CANARY}",
        f"KEEP: [{CANARY}]",
        f"ENDPOINT_URL: https://user:{CANARY}@host/path",
        f"ENDPOINT_URL: https://{CANARY}@host",
        f"- {CANARY}",
        CANARY,
        f"NAME: | # {CANARY}\n  shop",
        f"FILE_PATH:  # {CANARY}\n  - /srv # {CANARY}",
        f"{{NAME: shop, # {CANARY}\n PASSWORD: {CANARY}}}",
    ],
)
def test_what_may_be_a_secret_is_none_of_the_others_business(line: str) -> None:
    assert CANARY not in "\n".join(shown(line))


@pytest.mark.parametrize(
    "line",
    [
        "PASSWORD: ${SHOP_DB_PASSWORD}",
        'PASSWORD: "${SHOP_DB_PASSWORD}"',
        "PASSWORD_FILE: /run/secrets/shop-db",
        "NAME: 'it''s #1'",
        'EXCLUDE: ["*.tmp", "#*#"]',
        "ENDPOINT_URL: https://s3.example.net",
        'INTERVALS: ["0 2 * * *"]',
        "FILE_PATH: [/srv/shop/uploads, /etc/nginx]",
    ],
)
def test_what_is_no_secret_is_shown_as_it_was_written(line: str) -> None:
    assert shown(line) == [line]


@pytest.mark.parametrize("text", ["a: [", "\t- x", "a: 1\na: 2", "a: &b 1\nc: *b", "\xff\xfe", "a: !!x y"])
def test_of_what_is_no_yaml_nothing_is_shown(text: str) -> None:
    with pytest.raises(ConfigurationError):
        redacted_lines(text.encode("latin-1"), Path("config.yaml"))


_KNOWN = st.sampled_from(["NAME", "FILE_PATH", "UPLOAD_TO", "PROJECTS", "DB_INFO", "HOST"])
_SECRET = st.sampled_from(SECRET_KEYS)


def _written(value: object, indent: int = 0) -> str:
    """As YAML in block style."""
    pad = "  " * indent
    if isinstance(value, dict):
        return "".join(f"{pad}{key}:\n{_written(below, indent + 1)}" for key, below in value.items()) or f"{pad}{{}}\n"
    if isinstance(value, list):
        return "".join(f"{pad}-\n{_written(below, indent + 1)}" for below in value) or f"{pad}[]\n"
    return f"{pad}{value}\n"


_VALUES = st.recursive(
    st.just(CANARY),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(_SECRET | _KNOWN, below, min_size=1, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_KNOWN, st.dictionaries(_SECRET, _VALUES, min_size=1, max_size=3), min_size=1, max_size=3))
def test_below_a_secret_key_nothing_is_shown_however_deep(document: dict[str, object]) -> None:
    text = _written(document)
    lines = shown(text)
    assert CANARY not in "\n".join(lines)
    assert len(lines) == len(text.split("\n"))
