"""Records to sources: files, databases, and what programs write."""

from __future__ import annotations

from config.environment import Environment
from config.home import local_path
from config.problems import Position, Problems
from config.records import Record
from model import CommandSource, DatabaseSource, FileSource, Source

# What one engine knows and others do not. Those that are files are read where the backup is.
_SETTINGS = ("SSLMODE", "SERVICE")
_SETTING_FILES = ("SSLROOTCERT", "SSLCERT", "SSLKEY", "SSL_CA", "SSL_CERT", "SSL_KEY")


class Sources:
    """Makes them, and reports what cannot be."""

    def __init__(self, environment: Environment, problems: Problems) -> None:
        self._environment = environment
        self._problems = problems

    def source(self, record: Record, kind: str, *, is_remote: bool) -> Source:
        """That of a backup of this ``kind``."""
        if kind == "FILE_BACKUP":
            return self._files(record, is_remote)
        if kind == "DB_BACKUP":
            return self._database(record.record("DB_INFO"), is_remote)
        return CommandSource(
            argv=program(record, "COMMAND", self._problems),
            filename=record.text("FILENAME") or "",
            environment=record.texts_by_name("ENVIRONMENT"),
        )

    def _files(self, record: Record, is_remote: bool) -> FileSource:
        return FileSource(
            paths=self._paths(record, is_remote),
            exclude=tuple(pattern for _, pattern in record.texts("EXCLUDE")),
            exclude_caches=record.flag("EXCLUDE_CACHES", False),
            exclude_if_present=tuple(name for _, name in record.texts("EXCLUDE_IF_PRESENT")),
            one_file_system=record.flag("ONE_FILE_SYSTEM", False),
        )

    def _database(self, info: Record | None, is_remote: bool) -> DatabaseSource:
        if info is None:
            return DatabaseSource(engine="", names=())
        self._check_service(info)
        settings = {key: text for key in _SETTINGS if (text := info.text(key)) is not None}
        for key in _SETTING_FILES:
            if (path := info.text(key)) is not None:
                settings[key] = self._path(key, path, info.position_of(key), is_remote)
        return DatabaseSource(
            engine=info.section.kind,
            names=self._paths(info, is_remote) if info.section.kind == "sqlite" else self._names(info),
            username=info.text("USERNAME"),
            password=info.secret("PASSWORD"),
            host=info.text("HOST"),
            port=info.number("PORT"),
            settings=settings,
        )

    def _names(self, info: Record) -> tuple[str, ...]:
        names: list[str] = []
        for position, name in info.texts("NAME"):
            if name in names:
                self._problems.error(position, "NAME holds this database twice. Remove one.")
            names.append(name)
        if "*" in names and set(names) != {"*"}:
            message = 'NAME has "*", which is all databases, and others beside it. Remove "*" or the others.'
            self._problems.error(info.position_of("NAME"), message)
        return tuple(names)

    def _check_service(self, info: Record) -> None:
        if "SERVICE" not in info.positions:
            return
        for key in ("HOST", "PORT", "USERNAME"):
            if key in info.positions:
                message = f"SERVICE takes the place of {key}. Keep one of the two."
                self._problems.error(info.position_of(key), message)

    def _paths(self, record: Record, is_remote: bool) -> tuple[str, ...]:
        texts = record.texts("FILE_PATH")
        return tuple(self._path("FILE_PATH", path, position, is_remote) for position, path in texts)

    def _path(self, key: str, path: str, position: Position, is_remote: bool) -> str:
        """A path on the host of the backup."""
        if is_remote and path.startswith("~"):
            message = f"{key} cannot begin with `~` over SSH or in a container. Write the path from `/` on."
            self._problems.error(position, message)
            return path
        return local_path(key, path, position, self._environment, self._problems)


def program(record: Record, key: str, problems: Problems) -> tuple[str, ...]:
    """A program and its arguments. A first text with blanks is a line for a shell, and would be taken for a file."""
    first = next(iter(record.lists.get(key, ())), None)
    if first is not None and isinstance(first.content, str):
        if not first.content.strip():
            problems.error(first.position, f"{key} begins with an empty text. Write the program first.")
        elif len(first.content.split()) > 1:
            message = (
                f"{key} begins with the program, and here blanks stand in it. Write the program and each argument by "
                "itself, as in [systemctl, stop, shop]; a line for a shell is [sh, -c, line]."
            )
            problems.error(first.position, message)
    return tuple(text for _, text in record.texts(key))
