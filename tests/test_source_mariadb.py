"""MariaDB: what is dumped is restored to the last row, and whatever goes wrong is an error that says what and where."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from errors import HoldfastError, RestoreError, SourceError
from hosts.command import Command, CommandHost, RunningCommand
from hosts.local_command import LocalCommandHost
from model import DatabaseSource, Secret
from sources.programs import DESCRIPTION_PATH
from tests.support.database_hosts import Dumped, content_with, database_of, dumped, in_pieces
from tests.support.mariadb import MariadbServer, mariadb_server
from tests.support.processes import command_lines, processes_of

HOST = LocalCommandHost()

# Whatever an option file, a shell or a here-document could take for something else.
PASSWORD = "Canary-0815 #;'\"\\n$HOME `id` $(id) é\\"

STRANGE_NAMES = [
    "a b",
    "it's",
    "tick`tick",
    'say "hi"',
    "semi;colon",
    "$HOME $(id)",
    "--help",
    "größe",
    "a/b/../c",
    "100%",
]

SHOP = r"""
CREATE TABLE item (
    id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) CHARACTER SET utf8mb4, price decimal(12, 2),
    gross decimal(14, 4) AS (price * 1.19) STORED, upper_name varchar(100) AS (upper(name)) VIRTUAL,
    picture longblob, made timestamp(6) NULL, kind enum('a', 'b'), extra json, KEY (name)
) ENGINE=InnoDB;
INSERT INTO item (name, price, picture, made, kind, extra)
SELECT concat('item ', seq, ' \t\\ ü 🐘'), seq / 7, unhex(concat('00ff1a27', sha2(seq, 256))),
    '2026-01-01 00:00:00.123456', 'b', '{"a": [1, null]}' FROM seq_1_to_5000;
CREATE TABLE sale (item int, FOREIGN KEY (item) REFERENCES item (id));
INSERT INTO sale SELECT id FROM item WHERE id % 3 = 0;
CREATE TABLE log (line text);
CREATE TABLE kept (a int) WITH SYSTEM VERSIONING; INSERT INTO kept VALUES (1); UPDATE kept SET a = 2;
CREATE SEQUENCE numbers START 41; SELECT nextval(numbers);
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 10;
CREATE TRIGGER note AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (NEW.name);
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2;
DELIMITER //
CREATE PROCEDURE fill() BEGIN INSERT INTO log VALUES ('a;b'); SELECT 1; END //
DELIMITER ;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM log;
CREATE TABLE `odd ``name; $x` (`a b` int); INSERT INTO `odd ``name; $x` VALUES (1);
"""

# More than all pipes on the way hold, so that a dump is under way as long as nobody reads on.
BIG = "CREATE TABLE big (id int, data longblob); INSERT INTO big SELECT seq, repeat(md5(seq), 1000) FROM seq_1_to_400;"


@pytest.fixture(scope="module")
def server() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        prepare(server)
        yield server


def prepare(server: MariadbServer) -> None:
    server.sql("CREATE DATABASE shop CHARACTER SET latin1 COLLATE latin1_german2_ci; CREATE DATABASE big")
    server.sql(SHOP, "shop")
    server.sql(BIG, "big")
    escaped = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    server.sql(f"""CREATE ROLE watching; CREATE USER 'the reader'@'%' IDENTIFIED BY '{escaped}', few@localhost;
        GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE ON *.* TO 'the reader'@'%';
        GRANT watching TO 'the reader'@'%'; SET DEFAULT ROLE watching FOR 'the reader'@'%';
        GRANT SELECT (name), INSERT ON shop.item TO watching; GRANT SELECT, EXECUTE ON `sh\\_%`.* TO few@localhost;
        GRANT SELECT, SHOW VIEW ON `shop`.* TO few@localhost;""")


@pytest.fixture(scope="module")
def other_server() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        yield server


def source_of(server: MariadbServer, *names: str, **options: Any) -> DatabaseSource:
    options = {"username": "the reader", "password": Secret(PASSWORD), "host": str(server.socket), **options}
    return DatabaseSource("mariadb", names, **options)


def owned(server: MariadbServer, *names: str) -> DatabaseSource:
    return source_of(server, *names, username="root", password=None)


def restore(server: MariadbServer, dump: Dumped, name: str, new_name: str | None = None, **options: bool) -> None:
    (original,) = [each for each in json.loads(dump.contents[DESCRIPTION_PATH])["databases"] if each["name"] == name]
    data = dump.contents[original["member"].encode()]
    database = database_of(owned(server), HOST)
    database.restore(in_pieces(data), new_name or name, original, **options)


def dump_until(source: DatabaseSource, in_the_middle: Callable[[], None]) -> bytes:
    """The dump of the last database, with something happening after its first chunk."""
    *_, member = database_of(source, HOST).members()
    return content_with(member, in_the_middle)


def databases_of(server: MariadbServer) -> list[str]:
    return server.sql("SHOW DATABASES").split("\n")


@pytest.mark.parametrize("replace", [False, True])
def test_a_database_comes_back_whole_on_an_empty_server(
    server: MariadbServer, other_server: MariadbServer, *, replace: bool
) -> None:
    dump = dumped(source_of(server, "shop"))
    assert list(dump.contents) == [b"databases.json", b"users.sql", b"databases/shop.sql"]
    assert dump.notes == []
    if replace:
        other_server.sql("CREATE DATABASE shop; CREATE TABLE shop.old (a int)")
    restore(other_server, dump, "shop", replace=replace)
    assert other_server.text_of("shop") == server.text_of("shop")
    rows = (
        "SELECT sha2(group_concat(id, name, price, gross, upper_name, hex(picture), made, kind, extra), 256) FROM item"
    )
    rows = "SET group_concat_max_len = 1 << 30; " + rows
    assert other_server.sql(rows, "shop") == server.sql(rows, "shop")
    history = "SELECT a FROM kept FOR SYSTEM_TIME ALL ORDER BY a"
    assert other_server.sql(history, "shop") == server.sql(history, "shop") == "1\n2"
    assert [name for name in databases_of(other_server) if "holdfast" in name] == []
    other_server.sql("DROP DATABASE shop")


def test_users_come_back_with_passwords_and_grants_and_existing_ones_stay_as_they_are(
    server: MariadbServer, other_server: MariadbServer
) -> None:
    dump = dumped(source_of(server, "shop"))
    restore(other_server, dump, "shop")
    other_server.sql("CREATE USER few@localhost")
    database = database_of(owned(other_server), HOST)
    assert sorted(database.restore_accounts([dump.contents[b"users.sql"]])) == ["the reader@%", "watching"]
    for question in (
        "SHOW CREATE USER 'the reader'@'%'",
        "SHOW GRANTS FOR 'the reader'@'%'",
        "SHOW GRANTS FOR watching",
    ):
        assert sorted(other_server.sql(question).split("\n")) == sorted(server.sql(question).split("\n"))
    assert other_server.sql("SHOW GRANTS FOR few@localhost") == "GRANT USAGE ON *.* TO `few`@`localhost`"
    assert dumped(source_of(other_server, "shop")).contents.keys() == dump.contents.keys()
    assert database.restore_accounts([dump.contents[b"users.sql"]]) == []
    other_server.sql("DROP DATABASE shop; DROP USER 'the reader'@'%', few@localhost; DROP ROLE watching")


def test_the_archive_records_what_was_dumped(server: MariadbServer) -> None:
    description = json.loads(dumped(source_of(server, "shop")).contents[DESCRIPTION_PATH])
    assert description["engine"] == "mariadb"
    assert description["server_version"] == server.sql("SELECT version()")
    (shop,) = description["databases"]
    assert (shop["charset"], shop["collation"]) == ("latin1", "latin1_german2_ci")
    tables = {table["name"]: table for table in shop["tables"]}
    assert tables["item"]["engine"] == "InnoDB"
    assert tables["item"]["estimated_rows"] > 4000


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_a_name_is_never_more_than_a_name(server: MariadbServer, name: str) -> None:
    quoted = "`" + name.replace("`", "``") + "`"
    other = "`" + name.replace("`", "``") + "2`"
    server.sql(f"CREATE DATABASE {quoted}; USE {quoted}; CREATE TABLE here (a int); INSERT INTO here VALUES (7);")
    try:
        dump = dumped(source_of(server, name))
        restore(server, dump, name, name + "2")
        assert server.sql(f"SELECT a FROM {other}.here") == "7"
    finally:
        server.sql(f"DROP DATABASE {quoted}; DROP DATABASE IF EXISTS {other}")


def test_all_databases(server: MariadbServer) -> None:
    contents = dumped(owned(server, "*")).contents
    assert contents.keys() == {b"databases.json", b"users.sql", b"databases/big.sql", b"databases/shop.sql"}


def test_an_existing_database_is_replaced_only_on_request(server: MariadbServer) -> None:
    dump = dumped(source_of(server, "shop"))
    server.sql("CREATE DATABASE taken; CREATE TABLE taken.mine (a int)")
    with pytest.raises(RestoreError, match=r"There is a database `taken` on this machine already.*--replace"):
        restore(server, dump, "shop", "taken")
    assert server.sql("SHOW TABLES", "taken") == "mine"
    server.sql("DROP DATABASE taken")


# --- faults ---


def test_a_wrong_password(server: MariadbServer) -> None:
    with pytest.raises(SourceError, match="cannot be used from this machine") as caught:
        dumped(source_of(server, "shop", password=Secret("Wrong-Password-11")))
    assert "Access denied for user 'the reader'" in str(caught.value)
    assert "Wrong-Password-11" not in str(caught.value)


def test_a_missing_database(server: MariadbServer) -> None:
    with pytest.raises(SourceError, match="There is no database `nowhere` on this machine"):
        dumped(source_of(server, "shop", "nowhere"))


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="Can't connect to local"):
        dumped(DatabaseSource("mariadb", ("shop",), host=str(tmp_path / "socket")))


def test_every_one_of_many_users_is_dumped_with_its_own_rights(server: MariadbServer) -> None:
    users = [f"of many {number}" for number in range(150)]
    server.sql("".join(f"CREATE USER `{user}`; GRANT CREATE ON shop.`{user}` TO `{user}`;" for user in users))
    try:
        text = dumped(source_of(server, "shop")).contents[b"users.sql"].decode()
    finally:
        server.sql("".join(f"DROP USER `{user}`;" for user in users))
    for user in users:
        assert text.count(f"CREATE USER `{user}`@`%`") == 1
        assert f'-- account ["{user}", "%"]\nGRANT CREATE ON `shop`.`{user}` TO `{user}`@`%`;' in text


def test_what_a_user_would_not_be_shown_is_named_before_the_dump(server: MariadbServer) -> None:
    source = source_of(server, "shop", username="few", password=None)
    with pytest.raises(SourceError, match=r"few@localhost on this machine lacks TRIGGER, EVENT, EXECUTE on .*`shop`"):
        database_of(source, HOST).preflight()
    server.sql("GRANT TRIGGER, EVENT, EXECUTE ON shop.* TO few@localhost")
    # The text of a routine is shown only to who may read those of everybody: that is said by the program itself.
    with pytest.raises(SourceError, match=r"`shop` was not dumped[^`]*privileges to SHOW CREATE FUNCTION"):
        dumped(source)
    server.sql("GRANT SELECT ON mysql.proc TO few@localhost")
    dump = dumped(source)
    assert "users and their grants, which few@localhost may not read" in dump.notes[0].reason
    assert b"users.sql" not in dump.contents
    server.sql(
        "REVOKE SELECT ON mysql.proc FROM few@localhost; REVOKE TRIGGER, EVENT, EXECUTE ON shop.* FROM few@localhost"
    )


def test_a_connection_ended_by_the_server_in_mid_dump(server: MariadbServer) -> None:
    def end_connection() -> None:
        question = "SELECT id FROM information_schema.processlist WHERE user = 'the reader'"
        server.sql(f"KILL {int(server.sql(question))}")

    with pytest.raises(
        SourceError, match=r"`big` was not dumped. The program .*\n.*Lost connection|server has gone away"
    ):
        dump_until(source_of(server, "big"), end_connection)


def test_the_program_killed(server: MariadbServer) -> None:
    def kill() -> None:
        (pid,) = [pid for pid, line in processes_of("mariadb-dump").items() if str(server.socket).encode() in line]
        os.kill(pid, signal.SIGKILL)

    with pytest.raises(SourceError, match=r"on this machine was ended by SIGKILL"):
        dump_until(source_of(server, "big"), kill)


def test_the_server_stopped_in_mid_dump() -> None:
    with mariadb_server() as server:
        server.sql("CREATE DATABASE big")
        server.sql(BIG, "big")
        with pytest.raises(SourceError, match=r"`big` was not dumped"):
            dump_until(owned(server, "big"), server.end)


class Cutting:
    """A host on which the end of a dump is lost, although the program ends well."""

    name = "a host that loses bytes"

    def __init__(self) -> None:
        self._host = LocalCommandHost()
        self.has_cut = False

    def start(self, command: Command, *, feeds_input: bool = False) -> RunningCommand:
        running = self._host.start(command, feeds_input=feeds_input)
        if "--single-transaction" in command.argv:
            whole = running.chunks

            def chunks() -> Iterator[bytes]:
                data = b"".join(whole())
                self.has_cut = True
                yield data[: data.index(b"\n-- Dump completed")]

            running.chunks = chunks  # type: ignore[method-assign]
        return running

    def close(self) -> None:
        self._host.close()


def test_a_dump_without_its_last_line_is_not_whole(server: MariadbServer) -> None:
    host: CommandHost = Cutting()
    with pytest.raises(SourceError, match="does not have its last line"):
        dumped(source_of(server, "shop"), host)
    assert cast("Cutting", host).has_cut


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("damage", ["cut in a statement", "SQL error"])
def test_a_failed_restore_leaves_everything_as_it_was(server: MariadbServer, damage: str, *, replace: bool) -> None:
    dump = dumped(source_of(server, "shop")).contents[b"databases/shop.sql"]
    before, text = databases_of(server), server.text_of("shop")
    broken = dump[: len(dump) // 2] if damage == "cut in a statement" else dump + b"\nSELECT * FROM nowhere;\n"
    name = "shop" if replace else "new"
    with pytest.raises(RestoreError, match=rf"The database `{name}` was not restored. The program"):
        database_of(owned(server), HOST).restore(in_pieces(broken), name, None, replace=replace)
    assert databases_of(server) == before
    assert server.text_of("shop") == text


def test_a_dump_whose_reading_fails_leaves_nothing(server: MariadbServer) -> None:
    dump = dumped(source_of(server, "big")).contents[b"databases/big.sql"]
    before = databases_of(server)

    def failing() -> Iterator[bytes]:
        yield dump[:2_000_000]
        raise HoldfastError("The archive is damaged.")

    with pytest.raises(HoldfastError, match=r"^The archive is damaged.$"):
        database_of(owned(server), HOST).restore(failing(), "new")
    assert databases_of(server) == before


def test_commands_of_the_client_program_in_a_dump_are_not_obeyed(server: MariadbServer, tmp_path: Path) -> None:
    file = tmp_path / "touched"
    text = f"SELECT 1;\n\\! touch {file}\nsystem touch {file}\n"
    with pytest.raises(RestoreError, match="The database `new` was not restored"):
        database_of(owned(server), HOST).restore([text.encode()], "new")
    assert not file.exists()


def test_no_password_is_in_any_command_line_and_no_file_is_left(server: MariadbServer) -> None:
    server.sql("GRANT CREATE, DROP, INSERT, ALTER, LOCK TABLES ON *.* TO 'the reader'@'%'")
    seen: list[bytes] = []
    dump = dump_until(source_of(server, "big"), lambda: seen.extend(command_lines()))

    def watched() -> Iterator[bytes]:
        for piece in in_pieces(dump, 5_000_000):
            yield piece
            seen.extend(command_lines())

    database_of(source_of(server), HOST).restore(watched(), "restored")
    server.sql("DROP DATABASE restored")
    server.sql("REVOKE CREATE, DROP, INSERT, ALTER, LOCK TABLES ON *.* FROM 'the reader'@'%'")
    text = b"\n".join(seen)
    assert re.search(rb"mariadb-dump\0--defaults-file=/dev/fd/3", text)
    assert re.search(rb"mariadb\0--defaults-file=/dev/fd/3", text)
    assert b"Canary-0815" not in text
