"""A secret of the configuration or the environment is nowhere but there: canaries are searched for everywhere."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.crontab import StandInCrontab
from tests.support.holdfast import Holdfast
from tests.support.onedrive import OneDriveEmulator
from tests.support.onedrive_storage import emulator, emulator_process
from tests.support.s3_fixtures import moto
from tests.support.s3_servers import S3Server
from tests.support.trees import make_tree

__all__ = ["emulator", "emulator_process", "moto"]

# In config.yaml and in .env; the short ones could stand in any number or word, so they are searched for as words.
LONG = ("canary-database-Xq7", "canary-ssh-Pw3/+", "canary-storage-Zk9=", "canary-env-Lm2 %$", "canary-client-Rt5")
SHORT = ("7q3z", "w9x4")

CONFIGURATION = """\
STORAGES:
  - NAME: BUCKET
    TYPE: S3
    BUCKET: {bucket}
    ENDPOINT_URL: {endpoint_url}
    REGION: us-east-1
    ACCESS_KEY_ID: id
    SECRET_ACCESS_KEY: "canary-storage-Zk9="
PROJECTS:
  - NAME: shop
    BACKUPS:
      - FILE_BACKUP:
          - NAME: files
            INTERVALS: "0 2 * * *"
            FILE_PATH: {tree}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
          - NAME: remote
            INTERVALS: "0 2 * * *"
            FILE_PATH: {tree}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
            SSH: {{USERNAME: me, IP_ADDRESS: 192.0.2.7, PASSWORD: "canary-ssh-Pw3/+"}}
          - NAME: bucket
            INTERVALS: "0 2 * * *"
            FILE_PATH: {tree}
            UPLOAD_TO: [{{STORAGE_NAME: BUCKET, PATH: ""}}, {{STORAGE_NAME: ONEDRIVE, PATH: ""}}]
      - DB_BACKUPS:
          - NAME: db
            INTERVALS: "0 3 * * *"
            DB_INFO: {{NAME: shop, USERNAME: shop, PASSWORD: "canary-database-Xq7"}}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
          - NAME: short
            INTERVALS: "0 3 * * *"
            DB_INFO: {{NAME: shop, USERNAME: shop, PASSWORD: 7q3z}}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
          - NAME: expanded
            INTERVALS: "0 3 * * *"
            DB_INFO: {{NAME: shop, USERNAME: shop, PASSWORD: "${{SHOP_PASSWORD}}"}}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
          - NAME: expanded-short
            INTERVALS: "0 3 * * *"
            DB_INFO: {{NAME: shop, USERNAME: shop, PASSWORD: "${{SHORT_PASSWORD}}"}}
            UPLOAD_TO: [{{STORAGE_NAME: LOCAL, PATH: ""}}]
"""
ENVIRONMENT = """\
SHOP_PASSWORD='canary-env-Lm2 %$'
CLIENT_SECRET=canary-client-Rt5
CLIENT_ID=client
TENANT_ID=tenant
ONEDRIVE_DRIVE=drive
SHORT_PASSWORD=w9x4
"""


@pytest.fixture
def holdfast(tmp_path: Path, moto: S3Server) -> Holdfast:
    """The S3 server takes any key; Microsoft, which is the emulator, does not take the client's secret."""
    holdfast = Holdfast(tmp_path / "holdfast")
    tree = make_tree(tmp_path / "tree", files=5)
    (tree / "a canary-database-Xq7 in a name").write_text("a file name is no secret")
    holdfast.folder.mkdir()
    configuration = CONFIGURATION.format(tree=tree, bucket=moto.new_bucket(), endpoint_url=moto.endpoint_url)
    holdfast.config.write_text(configuration)
    holdfast.config.chmod(0o600)
    (holdfast.folder / ".env").write_text(ENVIRONMENT)
    (holdfast.folder / ".env").chmod(0o600)
    return holdfast


@pytest.fixture
def crontab(tmp_path: Path) -> StandInCrontab:
    return StandInCrontab(tmp_path / "crontab")


def secrets_in(data: bytes) -> list[str]:
    text = data.decode("utf-8", "surrogateescape")
    found = [secret for secret in LONG if secret in text]
    return found + [secret for secret in SHORT if re.search(rf"(?<!\w){secret}(?!\w)", text)]


class ArgumentSampler:
    """Reads the argv of every process of the machine, again and again, while a block runs."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> ArgumentSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.005):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:  # the process has ended
                    continue


COMMANDS = [
    ("main.py", "validate"),
    ("main.py", "plan", "-v"),
    ("main.py", "sync", "-v"),
    ("main.py", "plan", "--json"),
    ("main.py", "validate", "--json"),
    ("backup.py", "--all", "-v"),
    ("backup.py", "--all", "--json"),
    ("backup.py", "--scheduled", "shop/db", "shop/short"),
    ("backup.py", "--missed"),
    ("backup.py", "--dry-run", "shop/files", "-v"),
    ("backup.py", "-v"),
    ("backup.py", "--json"),
    ("main.py", "doctor", "-v"),
    ("restore.py", "list", "-v"),
    ("restore.py", "list", "--json"),
    ("restore.py", "show", "shop/files", "-v"),
    ("restore.py", "verify", "shop/files", "--json"),
    ("main.py", "remove", "-v"),
]


def test_no_secret_leaves_the_configuration(
    holdfast: Holdfast, crontab: StandInCrontab, emulator: OneDriveEmulator
) -> None:
    environment = {"PATH": crontab.path, **emulator.child_environment()}
    with ArgumentSampler() as sampler:
        for program, *arguments in COMMANDS:
            ended = holdfast.run(program, *arguments, env=environment)
            shown = (ended.stdout + ended.stderr).encode()
            # A file may be named like a secret; only then is its text in what is shown of the files.
            shown = shown.replace(b"a canary-database-Xq7 in a name", b"")
            assert secrets_in(shown) == [], (program, arguments, ended.stderr)
            assert "Traceback" not in ended.stderr
            if arguments[0] == "sync":
                assert crontab.text is not None and crontab.text.count(b"--scheduled") == 7
                assert secrets_in(crontab.text) == []
    assert any(b"backup.py" in arguments for arguments in sampler.seen), "no process of ours was met"
    # Tests that run at the same time tell planned.py in its arguments what to raise, a secret in it.
    seen = [arguments for arguments in sampler.seen if b"/planned.py\0" not in arguments]
    assert [arguments for arguments in seen if secrets_in(arguments)] == []
    written = list(files_below(holdfast.state, holdfast.storage))
    kinds = {path.suffix for path in written}
    assert kinds >= {".log", ".db", ".json", ".zst", ".zip", ".txt"}
    for path in written:
        if path.suffix != ".zip":  # it holds what the user's files hold, and their names
            assert secrets_in(path.read_bytes()) == [], path


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in folder.rglob("*") if path.is_file())


MISTAKES = {
    "a number as text": ("PASSWORD: 7q3z", "PASSWORD: [7q3z]"),
    "a map": ('PASSWORD: "canary-database-Xq7"', 'PASSWORD: {x: "canary-database-Xq7"}'),
    "a reserved character": ('PASSWORD: "canary-database-Xq7"', "PASSWORD: @canary-database-Xq7"),
    "an unknown key": ('PASSWORD: "canary-database-Xq7"', 'PASSWRD: "canary-database-Xq7"'),
    "a key twice": ("PASSWORD: 7q3z", "PASSWORD: 7q3z, PASSWORD: w9x4"),
    "a quote that is not closed": ('PASSWORD: "canary-database-Xq7"', 'PASSWORD: "canary-database-Xq7'),
    "an unknown variable beside it": ("${SHOP_PASSWORD}", "canary-client-Rt5${UNKNOWN}"),
    "an anchor": ('PASSWORD: "canary-ssh-Pw3/+"', "PASSWORD: *canary-ssh-Pw3"),
    "a tag": ('PASSWORD: "canary-ssh-Pw3/+"', 'PASSWORD: !canary "canary-ssh-Pw3/+"'),
    "a secret of a storage as a list": (
        'SECRET_ACCESS_KEY: "canary-storage-Zk9="',
        'SECRET_ACCESS_KEY: ["canary-storage-Zk9="]',
    ),
    "a plain scalar with a colon": ('PASSWORD: "canary-database-Xq7"', "PASSWORD: canary-database-Xq7: x"),
    "an escape that is none": ('"canary-database-Xq7"', '"canary-database-Xq7\\q"'),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_does_not_quote_a_secret(holdfast: Holdfast, mistake: str, form: str) -> None:
    before, after = MISTAKES[mistake]
    text = holdfast.config.read_text()
    assert before in text
    holdfast.config.write_text(text.replace(before, after))
    ended = holdfast.run("main.py", "validate", *(["--json"] if form == "json" else []))
    assert ended.returncode == 2, ended.stdout
    assert secrets_in((ended.stdout + ended.stderr).encode()) == []


def test_a_broken_env_file_is_not_quoted(holdfast: Holdfast) -> None:
    with (holdfast.folder / ".env").open("a") as file:
        file.write("canary-client-Rt5 is not = a line 'canary-env-Lm2 %$\n")
    ended = holdfast.run("main.py", "validate")
    assert secrets_in((ended.stdout + ended.stderr).encode()) == []


@pytest.mark.parametrize("secret", [*LONG, *SHORT])
def test_a_traceback_is_without_secrets(holdfast: Holdfast, secret: str) -> None:
    """An error that nobody foresaw, with a secret in its message."""
    event = {"point": "backup._manifest", "nth": 1, "when": "before", "raise": f"cannot log in with {secret}, sorry"}
    ended = holdfast.run_command(holdfast.command_with_plan([event], "shop/files"))
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert "cannot log in with ****, sorry" in ended.stderr
    for path in files_below(holdfast.state):
        assert secrets_in(path.read_bytes()) == [], path
    as_json = holdfast.run_command(holdfast.command_with_plan([event], "shop/files", "--json"))
    assert secrets_in((as_json.stdout + as_json.stderr).encode()) == []
    assert "****" in as_json.stdout


def test_the_environment_of_a_run_is_not_in_its_files(holdfast: Holdfast) -> None:
    """Secrets may also come from the environment itself; a run that is stopped shows what lies there meanwhile."""
    event = {"point": "backup._manifest", "nth": 1, "when": "before", "signal": signal.SIGSTOP}
    secret = {"CLIENT_SECRET": "canary-client-Rt5", "SHOP_PASSWORD": "canary-env-Lm2 %$"}
    run = holdfast.start_command(holdfast.command_with_plan([event], "shop/files"), env=secret)
    os.waitid(os.P_PID, run.pid, os.WSTOPPED)
    lying = {path: path.read_bytes() for path in files_below(holdfast.state, holdfast.storage)}
    run.send_signal(signal.SIGCONT)
    assert run.wait(timeout=60) == 0
    assert [path for path, data in lying.items() if path.suffix != ".zip" and secrets_in(data)] == []
