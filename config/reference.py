"""The reference page ``docs/config.md``, generated from the schema."""

from __future__ import annotations

from config.schema import DEFAULTS, sections
from config.settings import ENVIRONMENT
from config.shapes import Key, ListOf, MapOf, Scalar, Section, TextMap

_INTRODUCTION = """\
# config.yaml

This page is generated from the schema that also checks the file (`config/schema.py`).

One `config.yaml` describes every project: what is backed up, when, and where the archives go. `main.py validate` checks
it and reports all problems together, each with file, line and column. An editor that knows the YAML language server
completes and checks keys while you write, where the first line of the file is:

```yaml
# yaml-language-server: $schema=./config.schema.json
```

A whole example:

```yaml
PROJECTS:
  - NAME: shop
    BACKUPS:
      - FILE_BACKUP:
          - NAME: uploads
            INTERVALS: ["0 2 * * *"]
            FILE_PATH: [/srv/shop/uploads, /etc/nginx]
            EXCLUDE: ["*.tmp", cache/]
            UPLOAD_TO:
              - STORAGE_NAME: LOCAL
                PATH: shop
      - DB_BACKUP:
          - INTERVALS: ["0 3 * * *"]
            DB_INFO:
              NAME: shop
              USERNAME: shop
              PASSWORD: "${SHOP_DB_PASSWORD:-change me}"
            DOCKER: {CONTAINER_NAME: shop-db}
            UPLOAD_TO:
              - STORAGE_NAME: LOCAL
                PATH: shop
      - COMMAND_BACKUP:
          - NAME: directory
            INTERVALS: ["@weekly"]
            COMMAND: [slapcat, -n, "1"]
            FILENAME: directory.ldif
            SSH: {USERNAME: deploy, IP_ADDRESS: 192.0.2.7}
            UPLOAD_TO:
              - STORAGE_NAME: LOCAL
                PATH: shop
```

The `id` of a backup is `project/name`, here `shop/uploads`, `shop/db` and `shop/directory`. Everything but letters,
digits, `.`, `_` and `-` becomes `-` in it, so a name can have blanks. No two backups may have the same id; upper and
lower case count as the same.

## Where a backup is read

Each of the three kinds, files, databases and what a program writes, is read on this machine, or with `SSH` on a server,
or with `DOCKER` in a container, or with both in a container on that server. Nothing is installed there. What a backup
names (paths, the `HOST` of a database, `BEFORE` and the other programs) is as seen from there. Files of this machine
are only those that the keys of `SSH` name, the `_FILE` of a secret, and the `FOLDER` of a drill.

## How values are written

**Text is text.** A password written `0123`, `yes`, `12:30` or `null` is these characters. Quotes are needed where YAML
needs them: around a value that begins with `*`, `&`, `!`, `@`, `%`, `{`, `[` or a quote, and around one that holds `: `
or ` #`. Cron expressions begin with `*` often, so put quotes around them always.

**Nothing.** A key without a value counts as absent.

**Lists.** Where a list can stand, one value alone is a list of one.

**Two spellings.** Where a list of maps can stand, each entry can be a map, or each key can have a dash of its own. A
repeated key then begins the next entry, so begin every entry with the same key. These two are the same:

```yaml
UPLOAD_TO:                  UPLOAD_TO:
  - STORAGE_NAME: S3          - STORAGE_NAME: S3
    PATH: shop                - PATH: shop
  - STORAGE_NAME: LOCAL       - STORAGE_NAME: LOCAL
```

**Variables.** `${NAME}` is replaced by the variable of this name, from the environment or else from the `.env` file
beside config.yaml. `${NAME:-default}` has a default, for a variable that is missing or empty. `$${` stands for the
characters `${`; any other `$` is itself. A missing variable is an error. `${CONFIG_DIR}` is always the folder of
config.yaml. In brackets, `[...]` and `{...}`, put quotes around a value with a variable. Values in `.env` are taken as
they are; variables in them are not replaced.

**Secrets.** A secret can stand in the file, come from a variable, or from a file of its own: every secret key has a
second one that ends in `_FILE`, such as `PASSWORD_FILE`. One line end at the end of that file does not count. Where a
file that holds secrets can be read by every user, a warning says which `chmod` to run.

**Paths** on this machine are absolute, or begin with `~`. On a server or in a container they are absolute. `..` is
refused.

**Programs** (`COMMAND`, `BEFORE`, `AFTER`, `ON_FAILURE`) are lists: the program, then each argument by itself. No shell
reads them, so blanks, quotes and `*` in an argument are just these characters. Where a shell is wanted, it is the
program: `[sh, -c, "cd /srv/shop && ./export"]`. In its line write `$NAME`, or `$${NAME}`: `${NAME}` is replaced before
the shell sees it. Every user of a machine can see the arguments of its programs, so they must hold no secret. An empty
list, as in `BEFORE: []`, takes away what `DEFAULTS` says.

**Intervals** are cron expressions of five fields (minute, hour, day of the month, month, day of the week), or one of
`@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`. An expression that can never run, such
as 30 February, is an error.

**What is refused**: anchors, aliases, merge keys and tags of YAML (use `DEFAULTS`, or write it out), tabs, duplicate
keys, several documents, files that are not UTF-8, and files of more than 4 MB.

## The keys
"""

_ENVIRONMENT = """\
## The environment

These names are read from the environment, or else from the `.env` file beside config.yaml (`--env-file` names another
one). A name that is set to nothing counts as absent. The storages `LOCAL`, `S3` and `ONEDRIVE` need no entry in
`STORAGES` where their names are set here. `env.sample` is a file to copy and fill in.

| name | what | without it |
|---|---|---|
"""


def reference() -> str:
    """The page as Markdown."""
    parts = [_INTRODUCTION, *(_section(section) for section in sections()), _ENVIRONMENT]
    rows = [f"| `{name.name}` | {name.doc}{_example(name.example)} | {name.default} |\n" for name in ENVIRONMENT]
    return "\n".join(parts) + "".join(rows)


def _section(section: Section) -> str:
    lines = [
        f"### {section.title}\n",
        f"{section.doc}\n",
        "| key | value | meaning | without it |",
        "|---|---|---|---|",
    ]
    lines += [_row(key, section) for key in section.keys]
    return "\n".join(lines) + "\n"


def _row(key: Key, section: Section) -> str:
    names = " or ".join(f"`{spelling}`" for spelling in key.spellings)
    example = "" if key.example in ("[]", "{}") else _example(f"{key.name}: {key.example}")
    absence = "an error" if key.required else key.default or "nothing"
    if key.required and section.takes_defaults and key.name in DEFAULTS.by_spelling:
        absence = "what `DEFAULTS` says, else an error"
    return f"| {names} | {_value(key)} | {key.doc}{example} | {absence} |".replace("\n", " ")


def _example(text: str) -> str:
    return f" Example: `{text}`" if text else ""


def _value(key: Key) -> str:
    shape = key.shape
    if isinstance(shape, Scalar):
        return shape.words
    if isinstance(shape, ListOf):
        return f"{shape.item.words}, or a list"
    if isinstance(shape, TextMap):
        return f"a map: {shape.name.words} to {shape.item.words}"
    targets = [shape.section] if isinstance(shape.section, Section) else list(shape.section.sections.values())
    links = " or ".join(f"[{target.title}](#{_anchor(target.title)})" for target in targets)
    if isinstance(shape, MapOf):
        return f"a map: {links}"
    return f"a list of maps: {links}"


def _anchor(title: str) -> str:
    """GitHub's anchor of a heading: lower case, blanks to dashes, without marks such as brackets."""
    kept = (character for character in title.lower().replace(" ", "-") if character.isalnum() or character in "-_")
    return "".join(kept)
