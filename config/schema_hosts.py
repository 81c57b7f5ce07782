"""Where a backup is read: the keys of SSH servers and of Docker containers."""

from __future__ import annotations

from dataclasses import replace

from config import scalars
from config.shapes import Key, ListOf, MapOf, Section

_SERVER = (
    Key("USERNAME", scalars.WORD, "The user on the server.", "deploy", default="the user that Holdfast runs as"),
    Key(
        "IP_ADDRESS",
        scalars.ADDRESS,
        "The server: an IP address or a host name.",
        "192.0.2.7",
        aliases=("HOST",),
        required=True,
    ),
    Key("PORT", scalars.whole_number(1, 65535), "The port of its SSH service.", "2222", default="22"),
    Key(
        "KEY_FILE",
        scalars.PATH,
        "The private key on this machine.",
        "~/.ssh/id_backup",
        default="the SSH agent, and the user's own keys",
    ),
    Key(
        "KEY_PASSPHRASE",
        scalars.SECRET,
        "The passphrase of the private key.",
        '"${SSH_KEY_PASSPHRASE}"',
        default="none",
    ),
    Key("PASSWORD", scalars.SECRET, "The password, where no key is used.", '"${SSH_PASSWORD}"', default="none"),
    Key(
        "HOST_KEY",
        scalars.HOST_KEY,
        "The key by which the server is known: its fingerprint as `ssh-keygen -l` prints it, or its public key.",
        '"SHA256:uNiVztksCsDhcc0u9e8BrqXMoIZuVs1nuTVS3Fzxbcs"',
        default="the key in the file of known hosts",
    ),
    Key(
        "KNOWN_HOSTS_FILE",
        scalars.PATH,
        "The file of known hosts on this machine.",
        "/etc/holdfast/known_hosts",
        default="`~/.ssh/known_hosts`, then `/etc/ssh/ssh_known_hosts`",
    ),
)

JUMP_HOST = Section(
    "JUMP_HOST", "A server on the way: the connection to the server of the backup goes through it.", _SERVER
)

SSH = Section(
    "SSH",
    "The server on which the backup is read. Without it the backup is read on this machine. Nothing is installed "
    "there; it needs `sh`, `tar` and `find` for files, and the database's own programs for databases.",
    (
        *_SERVER,
        Key(
            "JUMP_HOST",
            MapOf(JUMP_HOST),
            "A server on the way to it, as with `ssh -J`.",
            "{IP_ADDRESS: 192.0.2.1}",
            default="it is reached from here",
        ),
    ),
)

_DOCKER_HOST = Key(
    "DOCKER_HOST",
    scalars.DOCKER_URL,
    "Where Docker listens. With `SSH` it is as seen from that server.",
    "unix:///run/user/1000/docker.sock",
    default="Docker's own default",
)

_NAMED_OTHERWISE = "another of the four"

DOCKER = Section(
    "DOCKER",
    "The container in which the backup is read: one that runs. With `SSH` it is a container on that server. One of "
    "four keys says which: `CONTAINER_NAME`, `COMPOSE_SERVICE`, `LABEL` or `VOLUME`. The last three find a container "
    "again that was made anew under another name.",
    (
        Key("CONTAINER_NAME", scalars.THING, "The name of the container.", "shop-db", default=_NAMED_OTHERWISE),
        Key(
            "COMPOSE_SERVICE",
            scalars.THING,
            "The container of this service of Docker Compose.",
            "db",
            default=_NAMED_OTHERWISE,
        ),
        Key(
            "COMPOSE_PROJECT",
            scalars.THING,
            "The project of the Compose service, where several have one of its name.",
            "shop",
            default="any project",
        ),
        Key(
            "LABEL",
            scalars.LABEL,
            "The container with this label: `name` or `name=value`.",
            "backup.role=database",
            default=_NAMED_OTHERWISE,
        ),
        Key("VOLUME", scalars.THING, "The container that uses this volume.", "shop_data", default=_NAMED_OTHERWISE),
        _DOCKER_HOST,
    ),
)

STOP_CONTAINERS = Section(
    "STOP_CONTAINERS",
    "Containers that are stopped while the source is read, and started again as soon as it has been: also where the "
    "run fails, and after a power cut by the next command of Holdfast. With `SSH` they are containers on that server. "
    "Those that do not run are left alone.",
    (
        Key("CONTAINER_NAME", ListOf(scalars.THING), "The names of containers.", "[shop-web]", default="none by name"),
        Key(
            "LABEL",
            ListOf(scalars.LABEL),
            "All containers that have one of these labels: `name` or `name=value`.",
            "[backup.stop=true]",
            default="none by label",
        ),
        Key(
            "COMPOSE_PROJECT",
            ListOf(scalars.THING),
            "All containers of these projects of Docker Compose.",
            "[shop]",
            default="none by project",
        ),
        replace(_DOCKER_HOST, default="that of `DOCKER`, else Docker's own default"),
    ),
)
