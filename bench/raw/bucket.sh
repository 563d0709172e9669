#!/usr/bin/env bash
# The plain tools alone: a second store is started and takes, by rclone, what a bucket holds. No TLS, no records.
#   bucket.sh start DIR WEED RCLONE PORT_A PORT_B   |   load DIR FILES   |   move DIR   |   end DIR
# `move` prints the milliseconds from the last write to the checked copy.
set -euo pipefail
dir=$2
if [ "$1" = start ]; then
    mkdir -p "$dir/a" "$dir/b"
    printf 'weed=%s\nrclone=%s\na=%s\nb=%s\n' "${@:3}" >"$dir/settings"
fi
. "$dir/settings"
copy() {
    "$rclone" --config "$dir/rclone.conf" --checkers 32 --transfers 16 --fast-list --checksum "$@"
}
store() { # NAME PORT
    cd "$dir/$1"
    unshare --mount --propagation private sh -c 'mount --bind . /tmp && cd /tmp && exec "$@"' sh /proc/self/fd/9 -logtostderr server \
        -dir=. -ip=127.0.0.1 -ip.bind=127.0.0.1 -master.peers=none -master.telemetry=false -master.telemetry.url= -filer -s3 \
        -master.port="$2" -volume.port="$(($2 + 1))" -filer.port="$(($2 + 2))" -s3.port="$(($2 + 3))" \
        -s3.port.iceberg=0 -s3.port.lance=0 -volume.max=200 -master.volumeSizeLimitMB=1024 -volume.preStopSeconds=0 -master.electionTimeout=200ms -master.heartbeatInterval=50ms \
        9<"$weed" >"$dir/$1.log" 2>&1 &
    echo $! >"$dir/$1.pid"
    cd /
    for _ in $(seq 100); do copy mkdir "$1:bucket" --retries 1 --low-level-retries 1 2>/dev/null && return; sleep 0.2; done
    tail -n 3 "$dir/$1.log" >&2
    return 1
}
case $1 in
start)
    for each in a b; do
        printf '[%s]\ntype = s3\nprovider = SeaweedFS\nendpoint = http://127.0.0.1:%s\naccess_key_id = any\nsecret_access_key = any\nregion = us-east-1\n' \
            "$each" "$(($([ "$each" = a ] && echo "$a" || echo "$b") + 3))" >>"$dir/rclone.conf"
    done
    store a "$a"
    ;;
load) copy copy "$3" a:bucket ;;
move)
    store b "$b"
    copy sync a:bucket b:bucket
    before=$(date +%s%N)
    copy sync a:bucket b:bucket
    copy check a:bucket b:bucket 2>/dev/null
    echo "$((($(date +%s%N) - before) / 1000000))"
    ;;
end) for each in a b; do kill -9 "$(cat "$dir/$each.pid")" || true; done ;;
esac
