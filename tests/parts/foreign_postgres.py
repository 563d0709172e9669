"""A PostgreSQL that Hanse does not run: a private server on a free port of loopback, with a hard schema."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
ADMIN, CLERK, GUEST = "postgres", "clerk", "guest"
PASSWORDS = {CLERK: "clerksecret", GUEST: "guestsecret"}
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
ACCESS = f"local all,replication {ADMIN} trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
HARD = """
create schema billing; create schema "ward-7"; comment on schema billing is 'money';
create type billing.state as enum ('open', 'paid');
create domain public.short as text check (length(value) < 99);
create table patient (id int generated always as identity primary key, name text not null, note text);
create index patient_name on patient using gin (name gin_trgm_ops);
create table billing.invoice (id bigserial primary key, patient int references patient, state billing.state,
  cents bigint check (cents > 0), made timestamptz not null,
  doubled bigint generated always as (cents * 2) stored);
create table visit (day date not null, patient int, what short) partition by range (day);
create table visit_2025 partition of visit for values from ('2025-01-01') to ('2026-01-01');
create table visit_rest partition of visit default;
create table "ward-7"."odd ""table"" 100%" ("Column A" text[], b bytea, c jsonb, d numeric);
create table base (a int); create table derived (b int) inherits (base);
create sequence ticket start 100 increment 5;
create view owing as select p.name, sum(i.cents) as cents
  from patient p join billing.invoice i on i.patient = p.id where i.state = 'open' group by p.name;
create materialized view billing.total as
  select state, count(*) as number from billing.invoice group by state;
create function billing.touch() returns trigger language plpgsql as
  $$ begin new.made = coalesce(new.made, now()); return new; end $$;
create trigger touched before insert on billing.invoice for each row execute function billing.touch();
create procedure tidy() language sql as 'delete from base';
comment on table patient is 'people; "quoted" and 100% é';
insert into patient (name, note) select 'patient ' || n, repeat(md5(n::text), 8)
  from generate_series(1, 60000) n;
insert into billing.invoice (patient, state, cents, made)
  select n, case n % 3 when 0 then 'open' else 'paid' end::billing.state, n * 7,
  '2025-01-01'::timestamptz + n * interval '1 min' from generate_series(1, 60000) n;
insert into visit select '2024-06-01'::date + n % 900, n, 'seen' from generate_series(1, 20000) n;
insert into "ward-7"."odd ""table"" 100%" values ('{a,NULL,"b c"}', '\\x00ff0a5c', '{"é": [1, null]}', 'NaN'),
  (null, '', 'null', 1e-30), ('{}', null, null, null), ('{}', null, null, null);
insert into base values (1), (2); insert into derived values (3, 4);
select nextval('ticket'), lo_from_bytea(4711, 'a large object');
select lo_from_bytea(0, decode(repeat('00ff', 90000), 'hex'));
refresh materialized view billing.total;
"""
SLOW = """
create function slowly(n int) returns bool language plpgsql as
  $$ begin if current_user = 'app' then perform pg_sleep(0.05); end if; return true; end $$;
create table slow (id int primary key check (slowly(id)), word text); insert into slow select n, 'x' from
  generate_series(1, 120) n;
"""
"""Where it is restored, as the role `app`, it takes six seconds."""


class Foreign:
    """Its servers, and what a person would type about them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ports: dict[str, int] = {}

    def start(self, name: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = self._ports[name] = free.getsockname()[1]
        words = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
        quick = "-c fsync=off -c max_wal_senders=3 -c shared_buffers=32MB"
        place = self.directory / name
        self._as_postgres(
            "pg_ctl", "-D", place, "-l", f"{place}.log", "-w", "-o", f"{words} {quick}", "start"
        )

    def make(self) -> None:
        place = self.directory / "source"
        self._as_postgres("initdb", "-D", place, "-U", ADMIN, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        (place / "pg_hba.conf").write_text(ACCESS)
        self.start("source")
        for user, password in PASSWORDS.items():
            self.tell("postgres", f"create role {user} login password '{password}'")

    def add_standby(self) -> None:
        words = ("-h", self.directory, "-p", self._ports["source"], "-U", ADMIN, "-c", "fast", "-R")
        self._as_postgres("pg_basebackup", "-D", self.directory / "standby", *words)
        self.start("standby")

    def stop(self) -> None:
        for name in self._ports:
            self._as_postgres("pg_ctl", "-D", self.directory / name, "-m", "immediate", "-w", "stop")

    def _as_postgres(self, program: str, *words: Any) -> None:
        command = [*AS_POSTGRES, str(PROGRAMS / program), *map(str, words)]
        with (self.directory / "programs.log").open("ab") as log:
            subprocess.run(command, cwd=self.directory, stdout=log, stderr=log, check=True, timeout=120)

    def url(self, database: str, user: str = CLERK, server: str = "source") -> str:
        """Without a password. The administrator is let in by the socket alone."""
        if user == ADMIN:
            return f"postgresql://{ADMIN}@/{database}?host={self.directory}&port={self._ports[server]}"
        return f"postgresql://{user}@127.0.0.1:{self._ports[server]}/{database}"

    def connect(self, database: str, user: str = ADMIN) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.url(database, user), password=PASSWORDS.get(user), autocommit=True)

    def tell(self, database: str, sql: str, user: str = ADMIN) -> None:
        with self.connect(database, user) as connection:
            connection.execute(sql)

    def database(self, name: str, sql: str = "", words: str = "", superuser_sql: str = "") -> None:
        """A database of the clerk's."""
        self.tell("postgres", f"create database {name} owner {CLERK} {words}")
        self.tell(name, f"alter schema public owner to {CLERK}; {superuser_sql}")
        if sql:
            self.tell(name, sql, CLERK)

    def content(self, database: str) -> list[str]:
        """Everything in it, in no order."""
        return content("-d", self.url(database, ADMIN), env=dict(os.environ))

    def run(self, program: str, *words: object) -> None:
        """A client program of PostgreSQL's, as the administrator."""
        command = [str(PROGRAMS / program), *map(str, words)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=120)


def content(*where: str, env: dict[str, str]) -> list[str]:
    """Every line of a dump in SQL, sorted, but for what belongs to the server."""
    command = [str(PROGRAMS / "pg_dump"), "--no-owner", "--no-privileges", "--no-publications", *where]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout
    skipped = ("--", "\\restrict", "\\unrestrict", "CREATE EXTENSION", "COMMENT ON EXTENSION")
    return sorted(line for line in said.splitlines() if line and not line.startswith(skipped))


@contextmanager
def foreign_postgres(directory: Path) -> Iterator[Foreign]:
    """Two servers, one a read-only standby of the other; nothing is left of them."""
    directory.mkdir()
    shutil.chown(directory, "postgres", "postgres")
    made = Foreign(directory)
    try:
        made.make()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)
