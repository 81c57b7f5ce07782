"""The storages of the schema: what each ``TYPE`` can be told."""

from __future__ import annotations

from config import scalars
from config.schema_variants import variants
from config.shapes import Key, Section

STORAGE_NAME = Key("NAME", scalars.TEXT, "The name that `STORAGE_NAME` refers to.", "disk", required=True)

BANDWIDTH = Key(
    "BANDWIDTH",
    scalars.BANDWIDTH,
    "The most that is sent to it in a second, by each run.",
    "20MB/s",
    default="no limit",
)

LOCAL_STORAGE = Section(
    "LOCAL",
    "A folder on this machine.",
    (
        STORAGE_NAME,
        Key(
            "ROOT",
            scalars.PATH,
            "The folder that holds everything.",
            "/mnt/disk/backups",
            required=True,
            environment="LOCAL_STORAGE_ROOT",
            environment_default="`backups/` beside config.yaml",
        ),
        BANDWIDTH,
    ),
)

S3_STORAGE = Section(
    "S3",
    "A bucket of Amazon S3 or of a service that speaks its protocol.",
    (
        STORAGE_NAME,
        Key("BUCKET", scalars.WORD, "The name of the bucket.", "my-backups", required=True, environment="S3_BUCKET"),
        Key(
            "ENDPOINT_URL",
            scalars.ENDPOINT,
            "The address of the service.",
            "https://s3.example.com",
            default="Amazon's",
            environment="S3_ENDPOINT_URL",
        ),
        Key(
            "REGION",
            scalars.WORD,
            "The region of the bucket.",
            "eu-central-1",
            default="none",
            environment="AWS_REGION",
        ),
        Key(
            "ACCESS_KEY_ID",
            scalars.WORD,
            "The id of the access key.",
            "AKIAEXAMPLE",
            default="what boto3 finds: `PROFILE`, `~/.aws`, or the role of the machine",
            environment="AWS_ACCESS_KEY_ID",
        ),
        Key(
            "SECRET_ACCESS_KEY",
            scalars.SECRET,
            "The secret of the access key.",
            '"${MY_SECRET_KEY}"',
            default="what boto3 finds",
            environment="AWS_SECRET_ACCESS_KEY",
        ),
        Key(
            "SESSION_TOKEN",
            scalars.SECRET,
            "The token that belongs to temporary access keys.",
            '"${MY_SESSION_TOKEN}"',
            default="none",
            environment="AWS_SESSION_TOKEN",
        ),
        Key(
            "PROFILE",
            scalars.TEXT,
            "A profile of `~/.aws/credentials` or `~/.aws/config`, in place of an access key.",
            "backups",
            default="none",
        ),
        Key(
            "ADDRESSING",
            scalars.one_of("auto", "path", "virtual"),
            "Where the bucket's name stands: in the `path` of the address or in its host name (`virtual`).",
            "path",
            default="`auto`: `path` with an ENDPOINT_URL, `virtual` at Amazon",
        ),
        Key(
            "CA_FILE",
            scalars.PATH,
            "The certificates (PEM) that the service's own is checked against.",
            "/etc/ssl/my-ca.pem",
            default="those of the usual authorities",
        ),
        Key(
            "CHECKSUM",
            scalars.one_of("auto", "CRC32", "MD5"),
            "How the service proves what it received: `CRC32` where it knows Amazon's checksums, `MD5` elsewhere.",
            "MD5",
            default="`auto`: `MD5` with an ENDPOINT_URL, `CRC32` at Amazon",
        ),
        Key(
            "STORAGE_CLASS",
            scalars.WORD,
            "The storage class of archives, such as `STANDARD_IA`, `GLACIER_IR` or `DEEP_ARCHIVE`. Manifests and "
            "indexes, which are small and read often, stay in the bucket's standard class.",
            "STANDARD_IA",
            default="the standard class",
        ),
        Key(
            "ENCRYPTION",
            scalars.one_of("AES256", "aws:kms"),
            "The encryption at the service's side (SSE-S3 or SSE-KMS).",
            "aws:kms",
            default="what the bucket is set to",
        ),
        Key(
            "KMS_KEY_ID",
            scalars.WORD,
            "The key of `ENCRYPTION: aws:kms`.",
            "alias/backups",
            default="the account's own key",
        ),
        Key(
            "OBJECT_LOCK_MODE",
            scalars.one_of("GOVERNANCE", "COMPLIANCE"),
            "Nobody, with `COMPLIANCE` not even the account's owner, can remove a copy before its time. The bucket "
            "must have Object Lock.",
            "COMPLIANCE",
            default="what the bucket is set to",
        ),
        Key(
            "OBJECT_LOCK_DAYS",
            scalars.whole_number(1, 36_500),
            "How many days that lasts.",
            "30",
            default="none; needed with OBJECT_LOCK_MODE",
        ),
        BANDWIDTH,
    ),
)

ONEDRIVE_STORAGE = Section(
    "ONEDRIVE",
    "A drive of OneDrive for Business or SharePoint.",
    (
        STORAGE_NAME,
        Key(
            "TENANT_ID",
            scalars.WORD,
            "The directory (tenant) id.",
            "11111111-1111-1111-1111-111111111111",
            required=True,
            environment="TENANT_ID",
        ),
        Key(
            "CLIENT_ID",
            scalars.WORD,
            "The application (client) id.",
            "22222222-2222-2222-2222-222222222222",
            required=True,
            environment="CLIENT_ID",
        ),
        Key(
            "CLIENT_SECRET",
            scalars.SECRET,
            "The value (not the id) of the client secret. Needed where there is no CERTIFICATE_FILE.",
            '"${MY_CLIENT_SECRET}"',
            default="none",
            environment="CLIENT_SECRET",
        ),
        Key(
            "CERTIFICATE_FILE",
            scalars.PATH,
            "A file (PEM) with the private key and the certificate of the app, in place of CLIENT_SECRET.",
            "/etc/holdfast/app.pem",
            default="none",
        ),
        Key(
            "DRIVE",
            scalars.TEXT,
            "The address of the user whose drive it is (`backups@example.com`), the id of a drive (`b!…`), or a site "
            "of SharePoint (`example.sharepoint.com:/sites/backups`).",
            "backups@example.com",
            required=True,
            environment="ONEDRIVE_DRIVE",
        ),
        Key(
            "CLOUD",
            scalars.one_of("global", "us-government", "us-defense", "china"),
            "Which of Microsoft's clouds holds the tenant.",
            "china",
            default="global",
        ),
        Key(
            "DELETE_FOR_GOOD",
            scalars.YES_NO,
            "`yes` removes old copies past the recycle bin, where they would count against the quota for 93 days.",
            "yes",
            default="no",
        ),
        BANDWIDTH,
    ),
)

SFTP_STORAGE = Section(
    "SFTP",
    "A folder on a server, over SSH.",
    (
        STORAGE_NAME,
        Key("HOST", scalars.ADDRESS, "The server: an IP address or a host name.", "192.0.2.9", required=True),
        Key("PORT", scalars.whole_number(1, 65535), "The port of its SSH service.", "2222", default="22"),
        Key("USERNAME", scalars.WORD, "The user on the server.", "backup", default="what `ssh` itself chooses"),
        Key(
            "KEY_FILE",
            scalars.PATH,
            "The private key on this machine.",
            "~/.ssh/id_backup",
            default="the user's own keys, and those of the SSH agent",
        ),
        Key("KEY_PASSPHRASE", scalars.SECRET, "What opens the private key.", '"${MY_PASSPHRASE}"', default="none"),
        Key("PASSWORD", scalars.SECRET, "The password, where no key is used.", '"${SFTP_PASSWORD}"', default="none"),
        Key(
            "HOST_KEY",
            scalars.HOST_KEY,
            "The server's key: its fingerprint, as `ssh-keygen -lf` shows it, or the key itself.",
            "SHA256:4F0K0p0bfuqTDbV0hT1FhBwOnjkxPpMzZsRfXt0pPnM",
            default="it must stand in KNOWN_HOSTS_FILE",
        ),
        Key(
            "KNOWN_HOSTS_FILE",
            scalars.PATH,
            "The file with the keys of known servers.",
            "~/.ssh/known_hosts",
            default="`~/.ssh/known_hosts`, then `/etc/ssh/ssh_known_hosts`",
        ),
        Key("ROOT", scalars.PATH, "The folder on the server.", "/srv/backups", required=True),
        BANDWIDTH,
    ),
)

STORAGE = variants(
    "STORAGES",
    "A place that keeps archives. Several of one `TYPE` can have different names. A storage that is called `LOCAL`, "
    "`S3` or `ONEDRIVE` here takes the place of the one from the environment.",
    {"LOCAL": LOCAL_STORAGE, "S3": S3_STORAGE, "ONEDRIVE": ONEDRIVE_STORAGE, "SFTP": SFTP_STORAGE},
)

# Storages that work without a definition.
IMPLICIT_STORAGES = tuple(
    name for name, section in STORAGE.sections.items() if any(key.environment for key in section.keys)
)
