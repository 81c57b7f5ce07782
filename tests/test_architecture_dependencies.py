"""The pinned requirements are complete, can be checked, and come from no place of one person's machine."""

from __future__ import annotations

import re

import pytest

from tests.support.product_code import ROOT

PINNED = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)==\S+ \\\n(?P<hashes>(?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)


def named_in(file: str) -> set[str]:
    """The packages that a ``.in`` file asks for, in lower case and without their extras."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {line.split()[0].partition("[")[0].lower() for line in lines if line and not line.startswith(("#", "-"))}


def pinned_in(file: str) -> set[str]:
    """The packages that a ``.txt`` file pins to one version with hashes."""
    return {match["name"] for match in PINNED.finditer((ROOT / file).read_text(encoding="utf-8"))}


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_line_is_a_pin_with_hashes(name: str) -> None:
    text = (ROOT / f"{name}.txt").read_text(encoding="utf-8")
    rest = [line for line in PINNED.sub("", text).splitlines() if line and not line.lstrip().startswith("#")]
    assert rest == [], "an option, an address, a path or a pin without a hash"
    assert named_in(f"{name}.in") <= pinned_in(f"{name}.txt"), "run `make requirements`"


def test_both_files_agree_on_every_version() -> None:
    versions = [
        dict(re.findall(r"^(\S+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
        for file in ("requirements.txt", "requirements-dev.txt")
    ]
    common = versions[0].keys() & versions[1].keys()
    assert {
        name: (versions[0][name], versions[1][name]) for name in common if versions[0][name] != versions[1][name]
    } == {}


def test_every_direct_dependency_is_explained() -> None:
    document = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    direct = named_in("requirements.in") | named_in("requirements-dev.in")
    assert {name for name in direct if name not in document} == set()
