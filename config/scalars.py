"""What one value may be: each check takes the text and gives the value, or raises ValueError.

The text of a ValueError ends a sentence that begins with the key (``PORT`` + ``must be …``) and never quotes the value.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

from config.intervals import NICKNAMES, check_interval
from config.public_keys import check_recipient, check_signer
from config.shapes import Scalar
from model import CalendarSpan

_YES = {"yes", "true", "on"}
_NO = {"no", "false", "off"}
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_URL = re.compile(r"https?://[^\s/]+\S*")
_DATABASE_URL = re.compile(r"[a-z][a-z0-9+]*://\S*")
_DOCKER_URL = re.compile(r"unix:///\S+|(?:tcp|https?)://[^\s/]+\S*")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?")
_PUBLIC_KEY = re.compile(r"[a-z][a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}(?: .*)?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST_FILE_NAME = 255

# Texts that YAML editors read as numbers or truth values are texts to us.
_JSON_TEXT = {"type": ["string", "number", "boolean"]}
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def _text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise ValueError(f"must not hold the control character U+{ord(character):04X}")
    return text


def _plain_word(text: str) -> str:
    """A text that a program could take for an option, or for two words, is refused."""
    if _text(text).startswith("-"):
        raise ValueError("must not begin with `-`")
    if len(text.split()) > 1 or text != text.strip():
        raise ValueError("must not hold blanks")
    return text


def _name_of_thing(text: str) -> str:
    if _text(text).startswith("-"):
        raise ValueError("must not begin with `-`")
    return text


def _label(text: str) -> str:
    if _name_of_thing(text).startswith("=") or text != text.strip():
        raise ValueError("must be a name, or a name and its value such as backup.role=database")
    return text


def _argument(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character U+0000: no program can take it over")
    return text


def _variable_name(text: str) -> str:
    if not _VARIABLE_NAME.fullmatch(text):
        raise ValueError("must consist of the letters A to Z and a to z, digits and `_`, and not begin with a digit")
    return text


def _secret(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character U+0000: no program can take it over")
    return text


def _passphrase(text: str) -> str:
    """What the program age can be told: it asks for one line on a terminal."""
    if not text.strip():
        raise ValueError("must not be empty")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise ValueError("must be one line without control characters, as the program age asks for one")
    return text


def _question(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not hold the character U+0000: no program can take it over")
    return text.strip()


def _percentage(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3} ?%", text) or not 1 <= int(text.rstrip(" %")) <= 100:
        raise ValueError("must be a percentage from 1% to 100%, such as 10%")
    return int(text.rstrip(" %"))


def _path(text: str) -> str:
    """An absolute path, or one that begins with ``~``, without doubled slashes and without one at the end."""
    if not text.strip():
        raise ValueError("must not be empty")
    if "\0" in text:
        raise ValueError("must not hold the character U+0000")
    if not text.startswith(("/", "~")):
        raise ValueError(
            "must be an absolute path. Write it from `/` on, from `~/` on (the home folder), or from ${CONFIG_DIR}/ on "
            "(the folder of this file)"
        )
    parts = text.split("/")
    if ".." in parts:
        raise ValueError("must not hold `..`. Write the path that is meant")
    kept = [part for part in parts if part not in ("", ".")]
    return "/".join(kept) if text.startswith("~") else "/" + "/".join(kept)


def _target_path(text: str) -> str:
    """``a/b``: a path inside of a storage, without a slash at either end."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("must not hold `..`: a target lies inside of its storage")
    return _text("/".join(parts)) if parts else ""


def _file_name(text: str) -> str:
    if "/" in _text(text):
        raise ValueError("must be a file name without `/`")
    if text in (".", ".."):
        raise ValueError("must be a file name: `.` and `..` are folders")
    if len(text.encode()) > _LONGEST_FILE_NAME:
        raise ValueError(f"must not be longer than {_LONGEST_FILE_NAME} bytes, the most that a file name has")
    return text


@lru_cache(maxsize=1024)
def _pattern(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    if "\n" in text or "\0" in text:
        raise ValueError("must be one line: write each pattern as an entry of the list")
    # Few configurations have a pattern, and all would pay for the import (33 ms).
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([text])
    except (ValueError, re.error):
        raise ValueError("must be a pattern as in .gitignore: `!`, `\\` or a range in brackets is left open") from None
    return text


def _address(text: str) -> str:
    """A host name, an IPv4 or an IPv6 address."""
    if re.fullmatch(r"[0-9.]+", text):
        return _ip_version_4(text)
    if ":" in text:
        try:
            ipaddress.IPv6Address(text)
        except ValueError:
            raise ValueError("must be a host name or an IP address; a port goes into PORT") from None
        return text
    if not _HOST_NAME.fullmatch(text) or ".." in text:
        raise ValueError("must be a host name or an IP address: letters, digits, `.`, `-` and `_`")
    return text


def _ip_version_4(text: str) -> str:
    parts = text.split(".")
    if len(parts) != 4 or not all(part and len(part) <= 3 and int(part) <= 255 for part in parts):
        raise ValueError("must be an IP address of four numbers from 0 to 255")
    if any(len(part) > 1 and part.startswith("0") for part in parts):
        raise ValueError("has a number that begins with 0, which programs read in two ways. Leave the 0 out")
    return text


def listen_address(text: str) -> tuple[str, int]:
    """``127.0.0.1`` and 8642 of ``127.0.0.1:8642``; of ``[::1]:8642`` the address is without brackets.

    Port 0 is any that is free. Raises ValueError.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError("must be an address and a port, such as 127.0.0.1:8642 or [::1]:8642")
    is_in_brackets = host.startswith("[") and host.endswith("]")
    address = host[1:-1] if is_in_brackets else host
    if address != "localhost" or is_in_brackets:
        try:
            is_version_6 = ipaddress.ip_address(address).version == 6
        except ValueError:
            raise ValueError("must begin with an IP address of this machine, or with localhost") from None
        if is_version_6 != is_in_brackets:
            raise ValueError("must have an address of IPv6, and no other, in brackets: [::1]:8642")
    return address, int(port)


def _listen(text: str) -> str:
    listen_address(text)
    return text


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address, or a network such as 192.0.2.0/24 or 2001:db8::/32") from None


def _database_host(text: str) -> str:
    """An address, or the absolute path of a socket or its folder."""
    if text.startswith("/"):
        return _path(text)
    if text.startswith("~") or "/" in text:
        raise ValueError("must be a host name, an IP address, or a path from `/` on")
    return _address(text)


def _host_key(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text) and not _PUBLIC_KEY.fullmatch(text):
        raise ValueError(
            "must be a fingerprint alone (`SHA256:` and 43 characters), or a whole public key (`ssh-ed25519 AAAA…`)"
        )
    return text


def _docker_url(text: str) -> str:
    if not _DOCKER_URL.fullmatch(text):
        raise ValueError(
            "must be a URL such as unix:///run/docker.sock or tcp://192.0.2.7:2375; where it is reached over SSH, "
            "write SSH beside DOCKER"
        )
    return text


def _endpoint(text: str) -> str:
    if not _URL.fullmatch(text):
        raise ValueError("must be a URL that begins with https:// or http://")
    return text


def _database_url(text: str) -> str:
    if not _DATABASE_URL.fullmatch(text):
        raise ValueError("must be a URL such as postgresql://user:password@host/database")
    return text


_NOTIFY_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def _notify_url(text: str) -> str:
    """Which services there are is known to Apprise alone, which takes too long to load for every run."""
    if not _NOTIFY_URL.fullmatch(text):
        raise ValueError(
            "must be a URL of Apprise without blanks, such as mailtos://… or ntfys://…; docs/notifications.md has "
            "examples"
        )
    return text


_SUMMARIES = {"daily": "0 7 * * *", "weekly": "0 7 * * 1"}


def _summary(text: str) -> str:
    """A cron expression."""
    try:
        return _SUMMARIES.get(text.strip().lower()) or check_interval(text)
    except ValueError as error:
        raise ValueError(f"can be daily, weekly, or a cron expression, and {error}") from None


_BANDWIDTH = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([kMG]?)(i?)B(?:/s)?")


def _bandwidth(text: str) -> int:
    """Bytes per second."""
    found = _BANDWIDTH.fullmatch(text)
    if not found or (found[3] and not found[2]):
        raise ValueError("must be a number and a unit such as 20MB/s or 500kB/s (bytes, not bits)")
    unit = (1024 if found[3] else 1000) ** " kMG".index(found[2] or " ")
    rate = int(float(found[1]) * unit)
    if rate < 1000:
        raise ValueError("must be at least 1kB/s")
    return rate


_DURATION = re.compile(r"([0-9]{1,6}) ?([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _duration(text: str) -> int:
    """Seconds."""
    found = _DURATION.fullmatch(text)
    if not found:
        raise ValueError("must be a number and a unit such as 90s, 30m, 2h or 1d")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if not 1 <= seconds <= 30 * 86_400:
        raise ValueError("must be from 1s to 30d")
    return seconds


_CALENDAR_SPAN = re.compile(
    r"(?:([0-9]{1,3})y)?(?:([0-9]{1,4})m)?(?:([0-9]{1,4})w)?(?:([0-9]{1,5})d)?(?:([0-9]{1,6})h)?"
)


def _calendar_span(text: str) -> str:
    span = calendar_span(text)
    if span == CalendarSpan():
        raise ValueError(
            "must be numbers with units, the longest first: y, m (months), w, d, h, as in 36h, 30d, 8w, 6m or 1y6m"
        )
    return text


def calendar_span(text: str) -> CalendarSpan:
    """What ``1y6m`` or ``8w`` means; nothing, where it is not written so."""
    found = _CALENDAR_SPAN.fullmatch(text)
    years, months, weeks, days, hours = (int(number or 0) for number in found.groups()) if found else (0,) * 5
    return CalendarSpan(years, months, weeks * 7 + days, hours)


def _yes_or_no(text: str) -> bool:
    if text.lower() in _YES:
        return True
    if text.lower() in _NO:
        return False
    raise ValueError("must be yes or no")


def whole_number(lowest: int, highest: int) -> Scalar:
    """A number without sign, in decimal digits."""
    words = f"a whole number from {lowest:,} to {highest:,}"

    def check(text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"must be {words}")
        return int(text)

    number = {"type": "integer", "minimum": lowest, "maximum": highest}
    quoted = {"type": "string", "pattern": r"^([0-9]+$|.*\$\{)"}
    return Scalar(words, check, {"anyOf": [number, quoted]}, is_text=False)


def one_of(*words: str, otherwise: str = "") -> Scalar:
    """One of some words, in any case. ``otherwise`` ends the message about any other word."""
    listed = either(words)

    def check(text: str) -> str:
        for word in words:
            if text.upper() == word.upper():
                return word
        raise ValueError(f"must be {listed}{otherwise}")

    return Scalar(listed, check, {"anyOf": [{"enum": list(words)}, _in_any_case(words), _VARIABLE]})


def either(words: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _in_any_case(words: Iterable[str]) -> Mapping[str, object]:
    """JSON Schema has no flag for it: ``[yY][eE][sS]``."""
    spelled = "|".join("".join(f"[{letter.lower()}{letter.upper()}]" for letter in word) for word in words)
    return {"type": "string", "pattern": f"^({spelled})$"}


def _text_scalar(words: str, check: Callable[[str], str]) -> Scalar:
    return Scalar(words, check, _JSON_TEXT)


TEXT = _text_scalar("a text", _text)
WORD = _text_scalar("a text without blanks", _plain_word)
THING = _text_scalar("a name", _name_of_thing)
SECRET = Scalar("a secret text", _secret, _JSON_TEXT, secret=True)
PASSPHRASE = Scalar("a secret text", _passphrase, _JSON_TEXT, secret=True)
RECIPIENT = _text_scalar("a public key, or `none`", check_recipient)
SIGNER = _text_scalar("a public key that signs", check_signer)
QUESTION = _text_scalar("a question in SQL", _question)
PERCENTAGE = Scalar(
    "a percentage such as 10%",
    _percentage,
    {"anyOf": [{"type": "string", "pattern": "^[0-9]{1,3} ?%$"}, _VARIABLE]},
    is_text=False,
)
PATH = _text_scalar("an absolute path", _path)
TARGET_PATH = _text_scalar("a path inside of the storage", _target_path)
FILE_NAME = _text_scalar("a file name", _file_name)
PATTERN = _text_scalar("a pattern", _pattern)
ADDRESS = _text_scalar("a host name or an IP address", _address)
LISTEN = _text_scalar("an address and a port", _listen)
NETWORK = _text_scalar("an IP address or a network", _network)
ENDPOINT = _text_scalar("a URL", _endpoint)
BANDWIDTH = Scalar("a rate such as 20MB/s", _bandwidth, _JSON_TEXT, is_text=False)
DATABASE_HOST = _text_scalar("a host name, an IP address, or a path", _database_host)
HOST_KEY = _text_scalar("a fingerprint or a public key", _host_key)
DOCKER_URL = _text_scalar("a URL", _docker_url)
LABEL = _text_scalar("a label", _label)
ARGUMENT = _text_scalar("a text", _argument)
VARIABLE_NAME = Scalar("a name", _variable_name, {"type": "string", "pattern": f"^{_VARIABLE_NAME.pattern}$"})
DURATION = Scalar("a time such as 30m or 2h", _duration, _JSON_TEXT, is_text=False)
CALENDAR_SPAN = Scalar("a time such as 36h, 30d, 8w, 6m (months) or 1y", _calendar_span, _JSON_TEXT, is_text=False)
NOTIFY_URL = Scalar("a URL of Apprise", _notify_url, _JSON_TEXT, secret=True)
PING_URL = Scalar("a URL", _endpoint, _JSON_TEXT, secret=True)
SUMMARY = _text_scalar("`daily`, `weekly`, or a cron expression", _summary)
DATABASE_URL = Scalar("a database URL", _database_url, _JSON_TEXT, secret=True)
INTERVAL = _text_scalar("a cron expression, or " + ", ".join(NICKNAMES), check_interval)
YES_NO = Scalar(
    "yes or no",
    _yes_or_no,
    {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no"]}, _in_any_case(sorted(_YES | _NO)), _VARIABLE]},
    is_text=False,
)
