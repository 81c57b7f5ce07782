"""Whether a copy may be used, given who vouches for it."""

from __future__ import annotations

from operations.copies.stored_copies import StoredCopy


def why_refused(copy: StoredCopy, *, is_wanted: bool) -> str | None:
    """Why a copy that nobody vouches for is not used, unless it ``is_wanted``; None where it may be.

    Where no key is trusted at all (the state folder was lost), nobody can tell, and the copy is used.
    """
    remark = copy.origin.remark if copy.origin is not None else None
    if remark is None or is_wanted or not copy.keyring.trusted:
        return None
    return f"{copy} is not used: {remark}. If you know that it is yours, use it with --untrusted."
