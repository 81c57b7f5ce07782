"""What the databases of the matrix hold: a little of everything that each engine has, under names that hurt."""

from __future__ import annotations

# A leading dash, quotes, spaces, what a shell or SQL would take for more than a name, and letters of other scripts.
DATABASE = '--o\'dd "shop"; $HOME `id` größe 数据'
# mariadb-dump cannot dump events of a database whose name has a quote: it looks for the name with a backslash in it.
MARIADB_DATABASE = "--o dd `shop`; $HOME $(id) größe 数据"
RESTORED = "-rf 're\"stored'; $(id) 数"
USER = "-the 'dumper\"; $USER ü"
ROLE = "reads 'all\"; -x"


def quoted(name: str) -> str:
    """An identifier of standard SQL."""
    return '"' + name.replace('"', '""') + '"'


def backquoted(name: str) -> str:
    """An identifier of MariaDB."""
    return "`" + name.replace("`", "``") + "`"


POSTGRES_ROLES = f"""
CREATE ROLE {quoted(ROLE)} NOLOGIN CONNECTION LIMIT 3; COMMENT ON ROLE {quoted(ROLE)} IS 'it''s; -- one';
CREATE ROLE owner LOGIN PASSWORD 'not the one that is looked for' VALID UNTIL '2040-01-01 00:00:00+00' CREATEDB;
GRANT {quoted(ROLE)} TO owner WITH ADMIN OPTION; GRANT pg_monitor TO owner;
ALTER ROLE owner SET search_path TO stock, "$user"; ALTER ROLE owner SET work_mem TO '9MB';
CREATE DATABASE {quoted(DATABASE)} OWNER owner ENCODING 'UTF8' TEMPLATE template0 CONNECTION LIMIT 77;
COMMENT ON DATABASE {quoted(DATABASE)} IS 'the shop''s'; REVOKE ALL ON DATABASE {quoted(DATABASE)} FROM PUBLIC;
GRANT CONNECT ON DATABASE {quoted(DATABASE)} TO {quoted(ROLE)} WITH GRANT OPTION;
ALTER DATABASE {quoted(DATABASE)} SET search_path TO stock, "$user", public;
ALTER ROLE owner IN DATABASE {quoted(DATABASE)} SET statement_timeout TO '7min';
"""

POSTGRES = rf"""
CREATE EXTENSION hstore; CREATE EXTENSION pgcrypto; CREATE SCHEMA stock AUTHORIZATION owner;
CREATE TYPE stock.state AS ENUM ('new', 'sold', 'größe'); CREATE TYPE stock.pair AS (a int, b text);
CREATE DOMAIN stock.positive AS int DEFAULT 1 CHECK (VALUE > 0);
CREATE SEQUENCE stock.numbers START 41 INCREMENT 7 CACHE 3; SELECT nextval('stock.numbers');
CREATE SEQUENCE stock.untouched;
CREATE TABLE stock.item (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text COLLATE "C" NOT NULL, price numeric(12, 2),
    gross numeric GENERATED ALWAYS AS (price * 1.19) STORED, tags hstore, picture bytea, state stock.state,
    count stock.positive, pair stock.pair, made timestamptz DEFAULT '2026-01-01', list int[], extra jsonb,
    CONSTRAINT "odd ""check""; $x" CHECK (price < 100000) NOT VALID
) WITH (fillfactor = 80);
INSERT INTO stock.item (name, price, tags, picture, state, count, pair, list, extra)
SELECT 'item ' || n || E' \t\\ \n ü 🐘', n / 7.0, hstore('n', n::text), digest(n::text, 'sha256'), 'sold', n,
    ROW(n, NULL::text)::stock.pair, ARRAY[n, NULL], '{{"a": [1, null]}}' FROM generate_series(1, 3000) n;
CREATE INDEX ON stock.item USING gist (tags); CREATE UNIQUE INDEX ON stock.item (lower(name), id) WHERE price > 1;
CREATE STATISTICS stock.related ON name, price FROM stock.item;
CREATE TABLE sale (day date, item bigint REFERENCES stock.item ON DELETE CASCADE) PARTITION BY RANGE (day);
CREATE TABLE sale_2026 PARTITION OF sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE sale_rest PARTITION OF sale DEFAULT;
INSERT INTO sale SELECT date '2026-01-01' + n, n + 1 FROM generate_series(0, 500) n;
CREATE TABLE base (a int); CREATE TABLE derived (b int) INHERITS (base); INSERT INTO derived VALUES (1, 2);
CREATE UNLOGGED TABLE cache (a int); INSERT INTO cache VALUES (1);
CREATE TABLE log (line text); ALTER TABLE log ENABLE ROW LEVEL SECURITY; ALTER TABLE log FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON log FOR SELECT TO owner USING (line = current_user);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '8MB' AS $$
BEGIN INSERT INTO stock.log VALUES (NEW.name || ';'); RETURN NEW; END $$;
CREATE PROCEDURE fill(n int, INOUT m int DEFAULT 3) LANGUAGE sql AS 'SELECT n + m'; COMMENT ON FUNCTION note IS 'x';
CREATE AGGREGATE largest(int) (SFUNC = int4larger, STYPE = int);
CREATE TRIGGER note AFTER INSERT ON stock.item FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER "off;" BEFORE UPDATE OF name ON stock.item FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION note(); ALTER TABLE stock.item DISABLE TRIGGER "off;";
INSERT INTO stock.item (name) VALUES ('noted');
CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION watch(); ALTER EVENT TRIGGER watch DISABLE;
CREATE VIEW cheap WITH (security_barrier) AS SELECT id, name FROM stock.item WHERE price < 10;
CREATE RULE hide AS ON DELETE TO base DO INSTEAD NOTHING;
CREATE MATERIALIZED VIEW total AS SELECT count(*) FROM stock.item; CREATE TABLE empty ();
CREATE PUBLICATION sales FOR TABLE sale, log WITH (publish = 'insert');
SELECT lo_from_bytea(4711, decode(repeat('00ff', 200000), 'hex')); COMMENT ON LARGE OBJECT 4711 IS 'large';
ALTER LARGE OBJECT 4711 OWNER TO owner; GRANT SELECT ON LARGE OBJECT 4711 TO {quoted(ROLE)};
SELECT lo_from_bytea(4712, '');
CREATE TABLE "odd ""name""; $x ü" ("a ""b"" $" int); INSERT INTO "odd ""name""; $x ü" VALUES (1), (NULL);
ALTER TABLE stock.item OWNER TO owner; ALTER FUNCTION note OWNER TO owner; GRANT SELECT ON sale TO {quoted(ROLE)};
GRANT UPDATE (name) ON stock.item TO {quoted(ROLE)}; GRANT USAGE ON SCHEMA stock TO {quoted(ROLE)};
REVOKE EXECUTE ON FUNCTION note FROM PUBLIC; COMMENT ON COLUMN stock.item.name IS 'it''s';
ALTER DEFAULT PRIVILEGES FOR ROLE owner IN SCHEMA stock GRANT SELECT ON TABLES TO {quoted(ROLE)};
ANALYZE;
"""

MARIADB = r"""
CREATE TABLE item (
    id int AUTO_INCREMENT PRIMARY KEY, name varchar(100) CHARACTER SET utf8mb4 NOT NULL COMMENT 'it''s',
    price decimal(12, 2), gross decimal(14, 4) AS (price * 1.19) STORED,
    upper_name varchar(100) AS (upper(name)) VIRTUAL,
    picture longblob, made timestamp(6) NULL, kind enum('a', 'b', 'ü'), extra json, bits bit(9), place point,
    CONSTRAINT cheap_enough CHECK (price < 100000), KEY (name), UNIQUE KEY both_of (name, id)
) ENGINE=InnoDB COMMENT='all; of "it"';
INSERT INTO item (name, price, picture, made, kind, extra, bits, place)
SELECT concat('item ', seq, ' \t\\ \n \0 '' ü 🐘'), seq / 7, unhex(concat('00ff1a270d0a5c', sha2(seq, 256))),
    '2026-01-01 00:00:00.123456', 'ü', '{"a": [1, null]}', b'100000001', point(seq, -1) FROM seq_1_to_3000;
INSERT INTO item (name) VALUES ('all the rest is NULL');
CREATE TABLE sale (item int, day date, FOREIGN KEY (item) REFERENCES item (id) ON DELETE CASCADE);
INSERT INTO sale SELECT id, '2026-01-01' FROM item WHERE id % 3 = 0;
CREATE TABLE parts (a int) PARTITION BY RANGE (a) (
    PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts SELECT seq FROM seq_1_to_20;
CREATE TABLE log (line text CHARACTER SET utf8mb4) ENGINE=Aria PAGE_CHECKSUM=1;
CREATE TABLE old (a int) ENGINE=MyISAM;
INSERT INTO old VALUES (1);
CREATE TABLE kept (a int) WITH SYSTEM VERSIONING; INSERT INTO kept VALUES (1);
UPDATE kept SET a = 2; DELETE FROM kept;
CREATE SEQUENCE numbers START 41 INCREMENT 7; SELECT nextval(numbers);
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 10 WITH CHECK OPTION;
CREATE VIEW a_first AS SELECT name FROM cheap;
CREATE TRIGGER note AFTER INSERT ON item FOR EACH ROW INSERT INTO log VALUES (NEW.name);
CREATE TRIGGER second_one AFTER INSERT ON item FOR EACH ROW FOLLOWS note INSERT INTO log VALUES ('second; one');
INSERT INTO item (name) VALUES ('noted');
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC SQL SECURITY INVOKER RETURN n * 2;
DELIMITER //
CREATE PROCEDURE fill(IN a varchar(9), OUT b int) COMMENT 'it''s'
    BEGIN INSERT INTO log VALUES ('a;b\\'); SELECT 1; END //
DELIMITER ;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' DISABLE COMMENT 'ü' DO DELETE FROM log;
CREATE TABLE `odd ``name; $x "ü` (`a ``b $` int); INSERT INTO `odd ``name; $x "ü` VALUES (1), (NULL);
"""

MARIADB_USERS = f"""
CREATE ROLE {backquoted(ROLE)}; CREATE USER 'owner'@'%' IDENTIFIED BY 'not the one that is looked for';
CREATE USER ''@'192.0.2.%', owner@localhost IDENTIFIED VIA unix_socket REQUIRE SSL WITH MAX_USER_CONNECTIONS 3;
GRANT {backquoted(ROLE)} TO owner@'%' WITH ADMIN OPTION; SET DEFAULT ROLE {backquoted(ROLE)} FOR owner@'%';
GRANT SELECT (name), INSERT ON {backquoted(MARIADB_DATABASE)}.item TO {backquoted(ROLE)};
GRANT ALL ON {backquoted(MARIADB_DATABASE.replace("_", chr(92) + "_"))}.* TO owner@'%' WITH GRANT OPTION;
GRANT EXECUTE ON PROCEDURE {backquoted(MARIADB_DATABASE)}.fill TO owner@localhost; GRANT PROCESS ON *.* TO owner@'%';
"""

SQLITE = r"""
PRAGMA page_size = 2048; PRAGMA encoding = 'UTF-16le'; PRAGMA journal_mode = WAL; PRAGMA user_version = 4711;
PRAGMA application_id = 815;
CREATE TABLE item (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, price REAL, data BLOB,
    gross REAL AS (price * 1.19) STORED, CHECK (price < 100000));
WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
INSERT INTO item (name, price, data) SELECT 'item ' || n || ' ü 🐘 ''"', n / 7.0, randomblob(40) FROM n;
CREATE INDEX by_name ON item (name) WHERE price > 1; CREATE UNIQUE INDEX "odd ""index""; $x" ON item (lower(name), id);
CREATE TABLE sale (item INTEGER REFERENCES item ON DELETE CASCADE, day TEXT, PRIMARY KEY (item, day)) WITHOUT ROWID;
INSERT INTO sale SELECT id, '2026-01-01' FROM item; CREATE TABLE log (line TEXT) STRICT;
CREATE VIEW cheap AS SELECT * FROM item WHERE price < 10;
CREATE TRIGGER note AFTER INSERT ON item BEGIN INSERT INTO log VALUES (NEW.name || ';'); END;
INSERT INTO item (name) VALUES ('noted'); CREATE VIRTUAL TABLE words USING fts5 (text); ANALYZE;
INSERT INTO words VALUES ('some words'); CREATE TABLE "odd ""name""; $x ü" ("a ""b"" $" ANY);
INSERT INTO "odd ""name""; $x ü" VALUES (1), ('1'), (1.0), (x'31'), (NULL);
"""
