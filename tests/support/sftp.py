"""SFTP storages for the servers of tests."""

from __future__ import annotations

from pathlib import Path

from ssh.connection import Deadlines, SshServer
from ssh.sign_in import Credentials
from storages.sftp.storage import SftpStorage
from storages.workplace import Patience, Workplace
from tests.support.sshd import USER, Sshd

AS_SHIPPED = Deadlines()
IMPATIENT = Patience(attempts=3, first_wait=0.01, longest_wait=0.02)


def sftp_storage_at(
    sshd: Sshd, root: Path | str, deadlines: Deadlines = AS_SHIPPED, patience: Patience = IMPATIENT
) -> SftpStorage:
    """The storage below ``root`` on a server of ``tests.support.sshd``."""
    server = SshServer(
        "127.0.0.1",
        Credentials(USER, sshd.user_key),
        sshd.port,
        known_hosts_file=sshd.known_hosts,
        deadlines=deadlines,
    )
    return SftpStorage("OFFSITE", server, str(root), Workplace(patience=patience))
