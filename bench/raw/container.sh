#!/usr/bin/env bash
# The plain tools alone: a container replaced by one on another engine, behind one haproxy.
#   container.sh start DIR ARCHIVE FRONT CONTROL A B     container.sh move DIR     container.sh end DIR
set -euo pipefail
dir=$2
if [ "$1" = start ]; then
    mkdir -p "$dir"
    printf 'archive=%s\nfront=%s\ncontrol=%s\na=%s\nb=%s\n' "${@:3}" >"$dir/ports"
    printf '[containers]\ndefault_ulimits=["nofile=20000:20000","nproc=20000:20000"]\nlog_driver="k8s-file"\n[engine]\ncgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="runc"\n[network]\nnetwork_backend="netavark"\n' >"$dir/containers.conf"
fi
. "$dir/ports"
engine() {
    mkdir -p "$dir/$1/net"
    CONTAINERS_CONF=$dir/containers.conf podman --root "$dir/$1/root" --runroot "$dir/$1/run" \
        --tmpdir "$dir/$1/tmp" --network-config-dir "$dir/$1/net" "${@:2}"
}
run() { # ENGINE PORT
    engine "$1" import -q "$archive" localhost/pages:1 >/dev/null
    engine "$1" run -d --init --name pages -p "127.0.0.1:$2:8080" localhost/pages:1 \
        /bin/busybox httpd -f -p 8080 -h /www >/dev/null
    until { exec 3<>"/dev/tcp/127.0.0.1/$2"; } 2>/dev/null; do sleep 0.02; done
    exec 3>&-
}
case $1 in
start)
    cat >"$dir/haproxy.cfg" <<CONFIG
global
  stats socket ipv4@127.0.0.1:$control level admin
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  retries 60
  option redispatch
frontend front
  bind 127.0.0.1:$front
  default_backend back
backend back
  option http-server-close
  server s 127.0.0.1:$a
CONFIG
    run one "$a"
    haproxy -D -p "$dir/haproxy.pid" -f "$dir/haproxy.cfg"
    ;;
move)
    run two "$b"
    exec 3<>"/dev/tcp/127.0.0.1/$control"
    printf 'set server back/s addr 127.0.0.1 port %s\n' "$b" >&3
    cat <&3 >/dev/null
    engine one rm -f -t 2 pages >/dev/null
    ;;
end)
    kill "$(cat "$dir/haproxy.pid")"
    for each in one two; do engine "$each" rm -f -t 0 -a >/dev/null; engine "$each" rmi -a -f >/dev/null; done
    ;;
esac
