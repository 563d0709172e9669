"""The proxy's configuration as text: pure, and impossible to inject into.

Every word that comes from outside is checked against an alphabet or parsed and written anew
(certificates, addresses); nothing else reaches the text.
"""

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from hanse.drivers.contract import GateStream, LocalRoute, RouteUpstream
from hanse.drivers.endpoint.waiting import ONWARD, program
from hanse.ports import Permanent

_NAME = re.compile(r"[A-Za-z0-9:/.-]{1,200}", re.ASCII)
_SITE = re.compile(r"[A-Za-z0-9_/.-]{1,128}", re.ASCII)
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", re.ASCII)
_PORT_MAX = 65535

_HEAD = """\
global
  maxconn 4000
  nbthread {threads}
  hard-stop-after 24h
  lua-load-per-thread hold.lua
  tune.ssl.cachesize 2000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
{user}
defaults
  timeout connect 1s
  timeout client 300s
  timeout server 300s
  timeout tunnel 24h
  timeout client-fin 30s
  timeout server-fin 30s
  timeout queue 60s
  option redispatch 1
  option tcpka
  clitcpka-idle 60s
  clitcpka-intvl 15s
  clitcpka-cnt 4
  srvtcpka-idle 60s
  srvtcpka-intvl 15s
  srvtcpka-cnt 4
"""
"""A connection may rest for a day, as a database's session does; one whose peer is gone is found out in
two minutes."""

_REPEATABLE = "GET HEAD OPTIONS PUT DELETE PROPFIND MKCOL"
"""Doing these twice is doing them once (RFC 9110, 9.2.2; RFC 4918); others are sent once at most."""

_BROKEN = (
    '  http-error status 502 content-type text/plain string "The service broke off without an answer, so '
    "this request may have been carried out or not. One that could do something twice is not repeated: look "
    'what is there, then try again.\\n"'
)

_BUSY = (
    "No site answered for this service within {seconds} seconds: it is moving or its provider is out of "
    "reach. Try again.\\n"
)

_ONE_BY_ONE = ("  option http-server-close", "  http-reuse never")
_REPEATS = ("  option abortonclose", f"  http-request disable-l7-retry unless {{ method {_REPEATABLE} }}")
_AGAIN_TIMES = 50
"""How often a 503 of the program is tried again; with the rests between, five seconds."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the configuration takes from this site: where gate streams listen, threads, user."""

    address: str
    threads: int = 2
    user: str = ""
    """haproxy lines that drop privileges; empty keeps the user that starts it."""
    mark: str = ""
    """Tells this site's inner sockets from those of other sites on the same machine."""
    hold_seconds: int = 60
    """How long a request waits for an upstream before it is answered 503."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Configuration text, the files it names, and `shape`: what only a reload can change."""

    text: str
    files: dict[str, bytes]
    shape: str


def render(streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...], setting: Setting) -> Rendered:
    """Same input, same bytes. Raises Permanent(`route-invalid`) for a name, address or PEM out of bounds."""
    _check_unique(streams, routes)
    files = {"hold.lua": program(setting.hold_seconds).encode()}
    text = _text(streams, routes, files, setting)
    plain = _text(
        tuple(replace(stream, open=True) for stream in streams),
        tuple(replace(route, active=None) for route in routes),
        files,
        setting,
    )
    return Rendered(text, files, hashlib.sha256(plain.encode()).hexdigest())


def frontend_of(name: str) -> str:
    """The proxy's name for a stream or route. Raises Permanent(`route-invalid`)."""
    if not _NAME.fullmatch(name):
        raise _invalid(f"the name {name[:80]!r} has characters that a stream or route name cannot have")
    return name.replace("/", "_")


def server_of(upstream: str) -> str:
    """The proxy's name for an upstream. Raises Permanent(`route-invalid`)."""
    if not _SITE.fullmatch(upstream) or upstream == ONWARD:
        raise _invalid(f"the upstream name {upstream[:80]!r} is not a site's name")
    return upstream.replace("/", ":")


def _text(
    streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...], files: dict[str, bytes], setting: Setting
) -> str:
    parts = [_HEAD.format(threads=setting.threads, user=setting.user)]
    parts.extend(
        _gate(stream, files, setting.address) for stream in sorted(streams, key=lambda one: one.name)
    )
    parts.extend(_route(route, files, setting) for route in sorted(routes, key=lambda one: one.name))
    return "\n".join(parts)


def _gate(stream: GateStream, files: dict[str, bytes], address: str) -> str:
    name = frontend_of(stream.name)
    certificates = [_certificate(pem) for pem in stream.allowed_certificates_pem]
    prints = sorted({one.fingerprint(SHA256()).hex().upper() for one in certificates})
    pems = b"".join(sorted({one.public_bytes(Encoding.PEM) for one in certificates}))
    authority = _file(files, "allowed", "pem", pems) if pems else "own.crt"
    listing = _file(files, "allowed", "lst", "".join(f"{one}\n" for one in prints).encode())
    return f"""\
frontend {name}
  mode tcp
  bind {_address((address, stream.port))} ssl crt own.pem ca-file {authority} verify required
  tcp-request connection reject unless {{ srv_is_up({name}/service) }}
  tcp-request session reject unless {{ ssl_c_der,sha2(256),hex -m str -f {listing} }}
  default_backend {name}
backend {name}
  mode tcp
  retries 10
  server service {_address(stream.upstream)}{"" if stream.open else " disabled"}
"""


def _route(route: LocalRoute, files: dict[str, bytes], setting: Setting) -> str:
    """A frontend where requests wait, a backend that sends them on, and the way to a newer worker."""
    name, mode = frontend_of(route.name), f"  mode {route.protocol}"
    if route.protocol not in {"http", "tcp"}:
        raise _invalid(
            f"route {route.name} asks for protocol {route.protocol[:20]!r}; known are http and tcp"
        )
    is_http = route.protocol == "http"
    again = is_http and route.retries_unavailable
    onward = f"  server {ONWARD} {_address(route.listen)}"
    lines = [f"frontend {name}", mode, f"  bind {_address(route.listen)}"]
    lines += _http_front(route, name, setting) if is_http else _tcp_front(route, name, setting)
    lines += [f"  use_backend onward:{name} if {{ stopping }}"]
    lines += [f"  default_backend {'again:' if again else ''}{name}"]
    lines += _again(name, setting) if again else []
    lines += [f"backend {name}", mode, "  balance roundrobin", f"  retries {setting.hold_seconds}"]
    lines += _http_back(route, setting) if is_http else []
    lines += [_server(one, one.name == route.active, files) for one in _sorted(route.upstreams)]
    lines += [f"{onward} backup", f"backend onward:{name}", mode, "  retries 3"]
    return "\n".join([*lines, *(_ONE_BY_ONE if is_http else ()), onward]) + "\n"


def _http_front(route: LocalRoute, name: str, setting: Setting) -> list[str]:
    status = 504 if route.retries_unavailable else 503
    return [
        "  option idle-close-on-response",
        "  timeout http-request 60s",
        "  timeout http-keep-alive 10s",
        f"  http-request lua.hold {name} if {_waits(route, name)}",
        f"  http-request return status {status} {_busy(setting)} if {{ var(txn.over) -m bool }}",
    ]


def _tcp_front(route: LocalRoute, name: str, setting: Setting) -> list[str]:
    return [
        f"  tcp-request inspect-delay {setting.hold_seconds}s",
        f"  tcp-request content lua.hold {name} if {_waits(route, name)}",
        "  tcp-request content reject if { var(txn.over) -m bool }",
    ]


def _waits(route: LocalRoute, name: str) -> str:
    """No upstream is in use, as far as the newest worker knows."""
    down = [f"!{{ srv_is_up({name}/{server_of(one.name)}) }}" for one in _sorted(route.upstreams)]
    return " ".join([*down, "!{ stopping }"])


def _http_back(route: LocalRoute, setting: Setting) -> list[str]:
    lines = [*_ONE_BY_ONE, *_REPEATS, "  retry-on conn-failure empty-response", _BROKEN]
    lines += [f"  http-error status 503 {_busy(setting)}"]
    if route.retries_unavailable:  # what the proxy itself has to say is not tried again
        lines += ["  http-response set-var(txn.theirs) bool(true)"]
        lines += ["  http-after-response set-status 504 if { status 503 } !{ var(txn.theirs) -m bool }"]
    return lines


def _again(name: str, setting: Setting) -> list[str]:
    """The program's 503 is tried again, by way of an inner socket where it rests for a moment first:
    a retry of its own accord would come at once, and beat on a program that is only slow.
    """
    inner = f"abns@hanse-{hashlib.sha256(f'{setting.mark} {name}'.encode()).hexdigest()[:32]}"
    return [
        f"backend again:{name}",
        "  mode http",
        *_ONE_BY_ONE,
        *_REPEATS,
        "  option http-buffer-request",
        f"  retries {_AGAIN_TIMES}",
        "  retry-on conn-failure 503",
        f"  server inner {inner}",
        f"frontend inner:{name}",
        "  mode http",
        f"  bind {inner}",
        "  http-response lua.rest if { status 503 }",
        f"  default_backend {name}",
    ]


def _busy(setting: Setting) -> str:
    return f'content-type text/plain string "{_BUSY.format(seconds=setting.hold_seconds)}"'


def _server(upstream: RouteUpstream, active: bool, files: dict[str, bytes]) -> str:
    words = ["  server", server_of(upstream.name), _address(upstream.address)]
    if upstream.pinned_certificate_pem is not None:
        pem = _certificate(upstream.pinned_certificate_pem).public_bytes(Encoding.PEM)
        words += ["ssl crt own.pem verify required ca-file", _file(files, "pinned", "pem", pem)]
    return " ".join(words + ([] if active else ["disabled"]))


def _sorted(upstreams: Iterable[RouteUpstream]) -> list[RouteUpstream]:
    return sorted(upstreams, key=lambda one: one.name)


def _check_unique(streams: tuple[GateStream, ...], routes: tuple[LocalRoute, ...]) -> None:
    names = [frontend_of(one.name) for one in streams] + [frontend_of(one.name) for one in routes]
    for name in names:
        if names.count(name) > 1:
            raise _invalid(f"the name {name} is used twice")
    for route in routes:
        known = {server_of(one.name) for one in route.upstreams}
        if len(known) != len(route.upstreams):
            raise _invalid(f"route {route.name} names an upstream twice")
        if route.active is not None and server_of(route.active) not in known:
            raise _invalid(f"route {route.name} should use {route.active}, which is not among its upstreams")


def _certificate(pem: str) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem.encode())
    except ValueError as error:
        raise _invalid("a pinned certificate is not a PEM certificate") from error


def _address(address: tuple[str, int]) -> str:
    host, port = address
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if not _HOST.fullmatch(host):
            raise _invalid(f"{host[:80]!r} is neither an IP address nor a host name") from None
        return f"{host}:{_port(port)}"
    return f"ipv6@[{ip}]:{_port(port)}" if ip.version == 6 else f"{ip}:{_port(port)}"


def _port(port: int) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port <= _PORT_MAX:
        raise _invalid(f"{port!r} is not a TCP port")
    return port


def _file(files: dict[str, bytes], stem: str, ending: str, data: bytes) -> str:
    name = f"{stem}-{hashlib.sha256(data).hexdigest()[:24]}.{ending}"
    files[name] = data
    return name


def _invalid(why: str) -> Permanent:
    return Permanent("route-invalid", f"The proxy was not changed: {why}.")
