"""As whom a test runs what refuses to be run by root."""

from __future__ import annotations

import os
import pwd
from typing import Any


def user_without_rights() -> pwd.struct_passwd:
    """The person who runs the tests, or nobody in place of root."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def as_user(user: pwd.struct_passwd) -> dict[str, Any]:
    """The options of ``subprocess`` for it."""
    return {} if os.geteuid() != 0 else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
