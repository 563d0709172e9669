#!/usr/bin/env bash
# The plain tools alone: a database copied by pg_basebackup, promoted behind one pgbouncer. No TLS, no records.
#   postgres.sh start DIR PORT_A PORT_B PORT_POOLER   |   move DIR   |   end DIR
set -euo pipefail
dir=$2
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if [ "$1" = start ]; then
    mkdir -p "$dir" && chmod 711 "$dir" && install -d -o postgres -m 700 "$dir/run"
    printf 'a=%s\nb=%s\npooler=%s\n' "${@:3}" >"$dir/settings"
fi
. "$dir/settings"
as() { (cd "$dir/run" && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); }
sql() { as psql -qAtX -h "$dir/run" -p "$1" -U postgres -d "$2" -c "$3"; }
begin() { # NAME PORT
    as "$bin/pg_ctl" start -w -s -D "$1" -l "$1.log" \
        -o "-p $2 -k $dir/run -c listen_addresses=127.0.0.1 -c shared_buffers=128MB -c max_connections=100"
}
config() { # PORT
    printf '[databases]\nbench = host=127.0.0.1 port=%s user=bench password=bench\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port=%s\nunix_socket_dir=%s/run\nauth_type=plain\nauth_file=%s/run/users\nadmin_users=postgres\npool_mode=transaction\nserver_login_retry=0.1\nlogfile=%s/run/pooler.log\npidfile=%s/run/pooler.pid\n' \
        "$1" "$pooler" "$dir" "$dir" "$dir" "$dir" >"$dir/run/pooler.ini"
}
case $1 in
start)
    as "$bin/initdb" -D a -A trust --no-sync >/dev/null
    begin a "$a"
    sql "$a" postgres "CREATE ROLE bench LOGIN PASSWORD 'bench'"
    sql "$a" postgres "CREATE DATABASE bench OWNER bench"
    printf '"bench" "bench"\n"postgres" "postgres"\n' >"$dir/run/users"
    config "$a"
    as pgbouncer -q -d pooler.ini
    ;;
move)
    export PGPASSWORD=postgres
    as "$bin/pg_basebackup" -D b -R -X stream -c fast -h 127.0.0.1 -p "$a" -U postgres
    begin b "$b"
    until [ "$(sql "$a" postgres "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' \
        AND pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 1000000")" = 1 ]; do sleep 0.05; done
    sql "$a" postgres CHECKPOINT
    sql "$pooler" pgbouncer "PAUSE bench"
    as "$bin/pg_ctl" stop -s -m fast -D a
    final=$(as "$bin/pg_controldata" a | sed -n 's/^Latest checkpoint location: *//p')
    until [ "$(sql "$b" postgres "SELECT pg_last_wal_replay_lsn() > '$final'")" = t ]; do sleep 0.005; done
    sql "$b" postgres "SELECT pg_promote()" >/dev/null
    config "$b"
    sql "$pooler" pgbouncer RELOAD
    sql "$pooler" pgbouncer "RESUME bench"
    ;;
end)
    kill "$(cat "$dir/run/pooler.pid")" || true
    for each in a b; do as "$bin/pg_ctl" stop -s -m immediate -D "$each" 2>/dev/null || true; done
    ;;
esac
