"""Who can open copies, and who wrote them: the keys of recipients, a passphrase, and the keys that sign."""

from __future__ import annotations

from config import scalars
from config.shapes import Key, ListOf

ENCRYPT_TO = Key(
    "ENCRYPT_TO",
    ListOf(scalars.RECIPIENT),
    "Who can open the copies: public keys of age (`age1…`) and of SSH (`ssh-ed25519 AAAA…`, `ssh-rsa AAAA…`, as in a "
    "`.pub` file). Each of them can open all of it. `main.py keygen` makes a pair; the machine that makes the backups "
    "needs no private key. `none` alone: copies are not encrypted, whatever `DEFAULTS` says.",
    "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
    default="copies are not encrypted",
    replaces=("ENCRYPT_PASSPHRASE",),
)
ENCRYPT_PASSPHRASE = Key(
    "ENCRYPT_PASSPHRASE",
    scalars.PASSPHRASE,
    "A passphrase that opens the copies, in place of `ENCRYPT_TO`: age has none beside recipients. This machine has to "
    "hold it, so whoever takes the machine can read its copies; `ENCRYPT_TO` protects from that.",
    '"${BACKUP_PASSPHRASE}"',
    default="copies are not encrypted",
    replaces=("ENCRYPT_TO",),
)
ENCRYPTION = (ENCRYPT_TO, ENCRYPT_PASSPHRASE)

TRUSTED_KEYS = Key(
    "TRUSTED_KEYS",
    ListOf(scalars.SIGNER),
    "Public keys whose manifests are believed besides those of this machine: those of other machines, and of this one "
    "before its state folder was lost. Manifests have them as `public_key`.",
    "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    default="only this machine is trusted",
)
