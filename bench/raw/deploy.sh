#!/usr/bin/env bash
# The plain tools alone: a database, a bucket and a container started side by side. No TLS, no records.
#   deploy.sh start DIR ARCHIVE WEED RCLONE PORT_DATABASE PORT_STORE PORT_CONTAINER   |   end DIR
set -euo pipefail
dir=$2
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
if [ "$1" = start ]; then
    mkdir -p "$dir/store" "$dir/net" && chmod 711 "$dir" && install -d -o postgres -m 700 "$dir/run"
    printf 'archive=%s\nweed=%s\nrclone=%s\ndatabase=%s\nstore=%s\nport=%s\n' "${@:3}" >"$dir/settings"
    printf '[containers]\ndefault_ulimits=["nofile=20000:20000","nproc=20000:20000"]\nlog_driver="k8s-file"\n[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="runc"\n[network]\nnetwork_backend="netavark"\n' >"$dir/containers.conf"
fi
. "$dir/settings"
as() { (cd "$dir/run" && setpriv --reuid=postgres --regid=postgres --clear-groups "$@"); }
engine() {
    CONTAINERS_CONF=$dir/containers.conf podman --root "$dir/root" --runroot "$dir/podman" --tmpdir "$dir/tmp" \
        --network-config-dir "$dir/net" "$@"
}
start_database() {
    as "$bin/initdb" -D data -A trust >/dev/null
    as "$bin/pg_ctl" start -w -s -D data -l log -o "-p $database -k $dir/run -c listen_addresses=127.0.0.1"
    as psql -qX -h "$dir/run" -p "$database" -d postgres -c 'CREATE DATABASE bench'
}
start_store() {
    cd "$dir/store"
    unshare --mount --propagation private sh -c 'mount --bind . /tmp && cd /tmp && exec "$@"' sh /proc/self/fd/9 \
        -logtostderr server -dir=. -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.peers=none -master.telemetry=false -master.telemetry.url= \
        -filer -s3 -master.port="$store" -volume.port="$((store + 1))" -filer.port="$((store + 2))" \
        -s3.port="$((store + 3))" -s3.port.iceberg=0 -s3.port.lance=0 -volume.max=8 -volume.preStopSeconds=0 \
        -master.electionTimeout=200ms -master.heartbeatInterval=50ms 9<"$weed" >"$dir/store.log" 2>&1 &
    echo $! >"$dir/store.pid"
    for _ in $(seq 100); do
        "$rclone" mkdir ":s3,provider=SeaweedFS,endpoint='http://127.0.0.1:$((store + 3))',access_key_id=any,secret_access_key=any,region=us-east-1:bucket" \
            --config /dev/null --retries 1 --low-level-retries 1 2>/dev/null && return
        sleep 0.2
    done
    return 1
}
start_container() {
    engine import -q "$archive" localhost/pages:1 >/dev/null
    engine run -d --name pages -p "127.0.0.1:$port:8080" localhost/pages:1 /bin/busybox httpd -f -p 8080 -h /www >/dev/null
    until { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; do sleep 0.02; done
}
case $1 in
start) for each in database store container; do "start_$each" & started+=($!); done; for each in "${started[@]}"; do wait "$each"; done ;;
end)
    kill -9 "$(cat "$dir/store.pid")" || true
    as "$bin/pg_ctl" stop -s -m immediate -D data || true
    engine rm -f -t 0 -a >/dev/null && engine rmi -a -f >/dev/null
    ;;
esac
