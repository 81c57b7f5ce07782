"""All that distinguishes two PostgreSQL databases, or the roles of two servers, read from the system catalogs.

pg_dump is not asked, so what it, or Holdfast, leaves out is seen. Names of databases and owners' object ids are left
out, the order of rows too.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.postgresql import PostgresqlServer

Fingerprint = dict[str, Any]

_SCHEMAS = "n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname NOT LIKE 'pg\\_temp%'"


def _not_of_extension(catalog: str, alias: str) -> str:
    return (
        f"NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = '{catalog}'::regclass AND d.objid = {alias}.oid"
        " AND d.deptype = 'e')"
    )


def _privileges(column: str) -> str:
    return (
        f"(SELECT json_agg(item ORDER BY item) FROM (SELECT concat_ws(' ', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE"
        f" pg_get_userbyid(grantee) END, privilege_type, is_grantable, pg_get_userbyid(grantor)) AS item"
        f" FROM aclexplode({column})) AS items)"
    )


# Each is a SELECT of a key and a value.
_OF_DATABASE = {
    "database": f"""SELECT 'itself', json_build_array(pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit,
        datistemplate, pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), {_privileges("datacl")})
        FROM pg_database WHERE datname = current_database()""",
    "settings": """SELECT coalesce(rolname, ''), to_json(setconfig)
        FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
        WHERE datname = current_database()""",
    "extensions": "SELECT extname, json_build_array(extversion, extnamespace::regnamespace) FROM pg_extension",
    "schemas": f"""SELECT nspname, json_build_array(pg_get_userbyid(nspowner), {_privileges("nspacl")},
        obj_description(oid, 'pg_namespace')) FROM pg_namespace n WHERE {_SCHEMAS}""",
    "relations": f"""SELECT c.oid::regclass, json_build_array(relkind, relpersistence, pg_get_userbyid(relowner),
        {_privileges("relacl")}, reloptions, relrowsecurity, relforcerowsecurity, relreplident,
        pg_get_expr(relpartbound, c.oid), pg_get_partkeydef(c.oid), obj_description(c.oid, 'pg_class'),
        (SELECT json_agg(inhparent::regclass ORDER BY inhseqno) FROM pg_inherits WHERE inhrelid = c.oid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind <> 'i' AND {_SCHEMAS} AND {_not_of_extension("pg_class", "c")}""",
    "columns": f"""SELECT c.oid::regclass || '.' || attname, json_build_array(
        row_number() OVER (PARTITION BY c.oid ORDER BY attnum), format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid), attidentity, attgenerated, attcollation::regcollation, attstorage, attstattarget,
        attcompression, {_privileges("attacl")}, col_description(c.oid, attnum))
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
        WHERE relkind IN ('r', 'v', 'm', 'c', 'p') AND {_SCHEMAS} AND {_not_of_extension("pg_class", "c")}""",
    "views": f"""SELECT c.oid::regclass, to_json(pg_get_viewdef(c.oid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('v', 'm') AND {_SCHEMAS}""",
    "indexes": f"""SELECT i.indexrelid::regclass, json_build_array(pg_get_indexdef(i.indexrelid), indisclustered,
        indisreplident, indisvalid) FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
        JOIN pg_namespace n ON n.oid = relnamespace WHERE {_SCHEMAS}""",
    "constraints": f"""SELECT coalesce(nullif(conrelid, 0)::regclass::text, contypid::regtype::text) || '.' || conname,
        json_build_array(pg_get_constraintdef(c.oid), convalidated) FROM pg_constraint c
        JOIN pg_namespace n ON n.oid = connamespace WHERE {_SCHEMAS}""",
    "triggers": """SELECT tgrelid::regclass || '.' || tgname, json_build_array(pg_get_triggerdef(oid), tgenabled)
        FROM pg_trigger WHERE NOT tgisinternal""",
    "policies": """SELECT polrelid::regclass || '.' || polname, json_build_array(polcmd, polpermissive,
        pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid),
        (SELECT json_agg(pg_get_userbyid(role) ORDER BY role) FROM unnest(polroles) role)) FROM pg_policy""",
    "rules": """SELECT ev_class::regclass || '.' || rulename, to_json(pg_get_ruledef(oid))
        FROM pg_rewrite WHERE oid >= 16384""",
    "functions": f"""SELECT p.oid::regprocedure, json_build_array(pg_get_functiondef(p.oid),
        pg_get_userbyid(proowner), {_privileges("proacl")}, obj_description(p.oid, 'pg_proc'))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
        WHERE prokind IN ('f', 'p') AND {_SCHEMAS} AND {_not_of_extension("pg_proc", "p")}""",
    "aggregates": f"""SELECT p.oid::regprocedure, json_build_array(aggtransfn, aggtranstype::regtype, agginitval,
        pg_get_userbyid(proowner)) FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid
        JOIN pg_namespace n ON n.oid = pronamespace WHERE {_SCHEMAS} AND {_not_of_extension("pg_proc", "p")}""",
    "types": f"""SELECT t.oid::regtype, json_build_array(typtype, pg_get_userbyid(typowner), {_privileges("typacl")},
        typdefault, typnotnull, format_type(nullif(typbasetype, 0), typtypmod),
        (SELECT json_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
        FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace
        WHERE {_SCHEMAS} AND {_not_of_extension("pg_type", "t")} AND typelem = 0""",
    "large objects": f"""SELECT m.oid, json_build_array(pg_get_userbyid(lomowner), {_privileges("lomacl")},
        obj_description(m.oid, 'pg_largeobject'), length(lo_get(m.oid)), md5(lo_get(m.oid)))
        FROM pg_largeobject_metadata m""",
    "publications": """SELECT pubname, json_build_array(puballtables, pubinsert, pubupdate,
        (SELECT json_agg(prrelid::regclass ORDER BY prrelid::regclass::text) FROM pg_publication_rel
        WHERE prpubid = p.oid)) FROM pg_publication p""",
    "event triggers": "SELECT evtname, json_build_array(evtevent, evtfoid::regproc, evtenabled) FROM pg_event_trigger",
    "statistics": "SELECT stxname, to_json(pg_get_statisticsobjdef(oid)) FROM pg_statistic_ext",
    "default privileges": f"""SELECT concat_ws(' ', pg_get_userbyid(defaclrole), defaclnamespace::regnamespace,
        defaclobjtype), {_privileges("defaclacl")} FROM pg_default_acl""",
}

# Names are written with their schemas, so that no search_path changes them.
_WITH_SCHEMAS = "SET search_path = '';"

_TABLES = f"""{_WITH_SCHEMAS} SELECT json_object_agg(c.oid::regclass, relkind) FROM pg_class c
    JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'm', 'p', 'S') AND {_SCHEMAS}"""

_OF_SERVER = {
    "roles": """SELECT rolname, json_build_array(rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin,
        rolreplication, rolbypassrls, rolconnlimit, rolpassword, rolvaliduntil, shobj_description(oid, 'pg_authid'))
        FROM pg_authid WHERE oid >= 16384""",
    "memberships": """SELECT concat_ws(' in ', pg_get_userbyid(member), pg_get_userbyid(roleid)),
        json_build_array(admin_option, pg_get_userbyid(grantor)) FROM pg_auth_members
        WHERE member >= 16384 OR roleid >= 16384""",
    "settings of roles": """SELECT rolname, to_json(setconfig) FROM pg_db_role_setting s JOIN pg_roles r
        ON r.oid = s.setrole WHERE s.setdatabase = 0""",
}


def database_fingerprint(server: PostgresqlServer, database: str) -> Fingerprint:
    """Everything in a database: schema, every row, sequences, large objects, and the properties of the database."""
    found = _asked(server, database, _OF_DATABASE)
    tables = json.loads(server.sql(_TABLES, database))
    rows = {
        name: f"SELECT {_literal(name)}, json_build_array(last_value, is_called) FROM {name}"
        if kind == "S"
        else f"""SELECT {_literal(name)}, json_build_array(count(*),
            md5(string_agg(md5(row::text), '' ORDER BY row::text COLLATE "C"))) FROM {name} AS row"""
        for name, kind in tables.items()
    }
    return {**found, "rows": {name: value[name] for name, value in _asked(server, database, rows).items()}}


def server_fingerprint(server: PostgresqlServer) -> Fingerprint:
    """What belongs to the whole server: roles with their passwords, memberships and settings."""
    return _asked(server, "postgres", _OF_SERVER)


def _asked(server: PostgresqlServer, database: str, questions: dict[str, str]) -> Fingerprint:
    """One answer to all of them: ``{what: {key: value}}``."""
    parts = [
        f"SELECT {_literal(what)} AS what, (SELECT json_object_agg(key, value ORDER BY key) FROM"
        f" (SELECT key::text, value FROM ({question}) AS asked (key, value)) AS named) AS found"
        for what, question in questions.items()
    ]
    together = " UNION ALL ".join(parts)
    question = f"{_WITH_SCHEMAS} SELECT json_object_agg(what, found) FROM ({together}) AS all_parts"
    answer = server.sql(question, database)
    found: Fingerprint = json.loads(answer)
    return found


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
