"""Who may use the dashboard: users and their passwords, their sessions, and tokens for programs.

All of it lies in ``<state>/dashboard.db``, which only its owner can read; nothing in it is of use to whoever steals it
but the names: passwords are hashed with argon2id, sessions and tokens with SHA-256.
"""

from __future__ import annotations

from accounts.accounts import Accounts, is_use_recorded, open_accounts
from accounts.records import Role, Session, Token, User

__all__ = ["Accounts", "Role", "Session", "Token", "User", "is_use_recorded", "open_accounts"]
