"""``restore.py restore --on``: files onto a server and into containers, by processes that may end in the middle."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.dockerd import Dockerd, dockerd, requires_dockerd
from tests.support.holdfast import Holdfast
from tests.support.machine_image import DATABASES, import_databases_image
from tests.support.remote_files import make_script
from tests.support.sshd import USER, Sshd, requires_sshd, running_sshd, sshd
from tests.support.whole_trees import MIB, describe_tree, differences, restored

__all__ = ["dockerd", "sshd"]

pytestmark = [requires_dockerd, requires_sshd]

# As containers see the folder of a test.
SEEN = "/srv/-the 'place'; $HOME ü"


def ssh_keys(sshd: Sshd) -> dict[str, Any]:
    keys = {"USERNAME": USER, "IP_ADDRESS": "127.0.0.1", "PORT": sshd.port, "KEY_FILE": str(sshd.user_key)}
    return {"SSH": {**keys, "HOST_KEY": sshd.fingerprint()}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "large").write_bytes(random.Random(1).randbytes(24 * MIB))
    inner = folder / "-rf 'a'; $HOME ü"
    inner.mkdir(mode=0o2750)
    for number in range(50):
        (inner / f"line\nbreak {number}").write_bytes(random.Random(number).randbytes(number * 100))
    os.link(inner / "line\nbreak 7", folder / "same")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "large").chmod(0o4711)
    os.chown(folder / "large", 12345, 54321)
    os.setxattr(folder / "large", "user.a=b", b"\0\xff")
    return folder


def configured(tmp_path: Path, source: Path, keys: dict[str, Any]) -> Holdfast:
    """With a copy of ``shop/files``, and a backup ``shop/there`` of another host."""
    shared = {"INTERVALS": "0 3 * * *", "UPLOAD_TO": [{"STORAGE_NAME": "LOCAL", "PATH": ""}]}
    here = {"NAME": "files", **shared, "FILE_PATH": str(source)}
    there = {"NAME": "there", **shared, "FILE_PATH": "/etc", **keys}
    holdfast = Holdfast(tmp_path / "holdfast")
    holdfast.write({"PROJECTS": [{"NAME": "shop", "BACKUPS": [{"FILE_BACKUPS": [here, there]}]}]})
    finished = holdfast.run("backup.py", "shop/files")
    assert finished.returncode == 0, finished.stderr
    return holdfast


@pytest.fixture
def container(dockerd: Dockerd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Of the image that is asked for, with the folder ``place`` of the test."""
    import_databases_image(dockerd)
    (tmp_path / "place").mkdir()
    mount = f"type=bind,source={tmp_path / 'place'},target={SEEN}"
    name = dockerd.run("--mount", mount, image=getattr(request, "param", DATABASES))
    yield name
    dockerd.remove(name)


@pytest.mark.parametrize("over_ssh", [False, True], ids=["docker", "docker-over-ssh"])
def test_into_a_container(
    tmp_path: Path, source: Path, sshd: Sshd, dockerd: Dockerd, container: str, *, over_ssh: bool
) -> None:
    keys = {"DOCKER": {"CONTAINER_NAME": container, "DOCKER_HOST": dockerd.url}, **(ssh_keys(sshd) if over_ssh else {})}
    holdfast = configured(tmp_path, source, keys)
    before = dockerd.docker("diff", container)
    answer = holdfast.run("restore.py", "restore", "shop/files", "--on", "shop/there", "--to", f"{SEEN}/back", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert (document["files"], document["problems"], document["remarks"]) == (52, [], [])
    assert document["to"].startswith(f"{SEEN}/back on the container {container}")
    found = describe_tree(restored(tmp_path / "place" / "back", source))
    assert differences(describe_tree(source), found) == []
    assert dockerd.docker("diff", container) == before


@pytest.mark.parametrize("container", ["busybox"], indirect=True)
def test_into_a_container_with_nothing_but_busybox(
    tmp_path: Path, source: Path, dockerd: Dockerd, container: str
) -> None:
    keys = {"DOCKER": {"CONTAINER_NAME": container, "DOCKER_HOST": dockerd.url}}
    holdfast = configured(tmp_path, source, keys)
    answer = holdfast.run("restore.py", "restore", "shop/files", "--on", "shop/there", "--to", f"{SEEN}/back")
    assert answer.returncode == 0, answer.stderr
    assert "is BusyBox's, which does not know these" in answer.stderr
    expected, found = describe_tree(source), describe_tree(restored(tmp_path / "place" / "back", source))
    beyond = (": modified_ns was", ": extended_attributes was")
    assert [text for text in differences(expected, found) if not any(part in text for part in beyond)] == []


def test_onto_a_server(tmp_path: Path, source: Path, sshd: Sshd) -> None:
    holdfast = configured(tmp_path, source, ssh_keys(sshd))
    place = tmp_path / "place"
    arguments = ("restore", "shop/files", "--on", "shop/there", "--to", str(place))
    answer = holdfast.run("restore.py", *arguments)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert f"restored into {place} on {USER}@127.0.0.1 port {sshd.port}" in answer.stdout
    assert differences(describe_tree(source), describe_tree(restored(place, source))) == []
    again = holdfast.run("restore.py", *arguments)
    assert again.returncode == 1
    assert "is not an empty folder, so nothing was restored into it" in again.stderr
    (restored(place, source) / "large").write_bytes(b"changed")
    over = holdfast.run("restore.py", *arguments, "--overwrite", "always")
    assert (over.returncode, over.stderr) == (0, "")
    assert differences(describe_tree(source), describe_tree(restored(place, source))) == []
    relative = holdfast.run("restore.py", *arguments[:-1], "place")
    assert relative.returncode == 2
    assert "needs a path that begins with a slash" in relative.stderr


def test_on_a_backup_of_this_machine_is_here(tmp_path: Path, source: Path) -> None:
    holdfast = configured(tmp_path, source, {})
    answer = holdfast.run("restore.py", "restore", "shop/files", "--on", "shop/there", "--to", tmp_path / "place")
    assert answer.returncode == 0, answer.stderr
    assert differences(describe_tree(source), describe_tree(restored(tmp_path / "place", source))) == []


# --- the end in the middle ----------------------------------------------------------------------------------------


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow_server(tmp_path: Path) -> Iterator[Sshd]:
    """Its tar takes the first 4 MiB of the second archive or so, and then no more."""
    programs = tmp_path / "programs"
    programs.mkdir()
    slow = 'case $1 in -x) head -c 4194304 | /bin/tar "$@"; sleep 1000 ;; *) exec /bin/tar "$@" ;; esac'
    make_script(programs / "tar", slow)
    with running_sshd(lines=[f"SetEnv PATH={programs}:/usr/bin:/bin"]) as server:
        yield server


def started(holdfast: Holdfast, place: Path) -> subprocess.Popen[str]:
    """A restore onto the server that does not go on."""
    process = holdfast.start("restore.py", "restore", "shop/files", "--on", "shop/there", "--to", place)
    wait_until(lambda: largest_file(place) > MIB, process)
    return process


def largest_file(folder: Path) -> int:
    with suppress(FileNotFoundError):  # something was removed meanwhile
        return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
    return 0


def test_sigterm_in_the_middle_leaves_nothing(tmp_path: Path, source: Path, slow_server: Sshd) -> None:
    holdfast = configured(tmp_path, source, ssh_keys(slow_server))
    process = started(holdfast, tmp_path / "place")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "is whole; the rest was removed again" in said
    assert not (tmp_path / "place").exists()


def test_a_connection_that_breaks(tmp_path: Path, source: Path, slow_server: Sshd) -> None:
    """Nothing can be removed over it any more, so what is left is said, and it has no real name."""
    holdfast = configured(tmp_path, source, ssh_keys(slow_server))
    place = tmp_path / "place"
    process = started(holdfast, place)
    slow_server.stop()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    (left,) = place.iterdir()
    assert f"What had come of it until then is left in {left} on {USER}@127.0.0.1" in said
    assert "remove it" in said
    assert left.name.startswith(".holdfast-restore.")


def test_after_sigkill_no_file_has_its_name_and_the_next_restore_says_what_is_left(
    tmp_path: Path, source: Path, slow_server: Sshd
) -> None:
    holdfast = configured(tmp_path, source, ssh_keys(slow_server))
    place = tmp_path / "place"
    process = started(holdfast, place)
    process.kill()
    process.communicate()
    (left,) = place.iterdir()
    arguments = ("restore", "shop/files", "--on", "shop/there", "--to", place)
    refused = holdfast.run("restore.py", *arguments)
    assert refused.returncode == 1
    assert f"A restore that was killed has left {left} there: remove it." in refused.stderr
    (tmp_path / "programs" / "tar").unlink()
    answer = holdfast.run("restore.py", *arguments, "--overwrite", "always")
    assert answer.returncode == 0, answer.stderr
    assert f"A restore that was killed has left {left}" in answer.stderr
    assert differences(describe_tree(source), describe_tree(restored(place, source))) == []
