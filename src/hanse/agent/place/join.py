"""Joining a hub by a token, and leaving it."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from hanse.agent.journal import SqliteJournal
from hanse.agent.place.file import SiteFile, read_site_file
from hanse.agent.place.home import Home, HubFacts
from hanse.ports import Permanent, Temporary
from hanse.trust.authority import covers, self_signed
from hanse.trust.invitation import Invitation
from hanse.trust.keys import load_or_make_key, load_or_make_sealing_key, public_sealing_key, write_private
from hanse.wire.hub_client import enrol


async def join(home: Home, token: str, offers: Path | None, now: datetime) -> HubFacts:
    """Make this site's keys, show them to the hub with the token, keep what the hub answers.

    A lost answer does no harm: the same command again uses the same keys. A refusal leaves nothing behind
    that was not there before. Raises Permanent(`token-malformed`, `already-joined`, `file-unreadable`, the
    hub's own codes) and Temporary(`hub-unreachable`, `hub-key-wrong`).
    """
    invitation = Invitation.decode(token)
    if home.is_joined():
        known = home.hub()
        raise Permanent(
            "already-joined",
            f"{home.directory} already belongs to {known.site}, joined at {known.url}."
            " Leave first (`hanse site leave`), or choose another --dir; if its certificate has ended, add"
            " --again.",
        )
    text, site_file = _offers(home, offers)
    before = _existing(home)
    try:
        certificate = _keys(home, site_file, now)
        request = {
            "token": token.strip(),
            "site": site_file.site.id,
            "self_certificate_pem": certificate,
            "sealing_key": public_sealing_key(home.sealing_file.read_text()),
        }
        facts = await _join(home, invitation, request, text)
    except Permanent:
        _undo(home, before)
        raise
    except Temporary as error:
        raise Temporary(
            error.code,
            f"{error.message} Nothing is lost: give the same command again, it uses the same keys.",
            error.delay_seconds,
        ) from error
    return facts


async def join_again(home: Home, token: str) -> HubFacts:
    """A new way into the hub for a joined site whose certificate has ended; nothing else changes.

    Raises Permanent(`token-malformed`, `not-joined`, `hub-key-wrong`, the hub's own codes) and
    Temporary(`hub-unreachable`).
    """
    invitation, facts = Invitation.decode(token), home.hub()
    if invitation.hub_thumbprint != facts.thumbprint:
        raise Permanent(
            "hub-key-wrong",
            f"The token is of another hub than the one at {facts.url} that {home.directory} belongs to.",
        )
    answer = await enrol(
        invitation,
        {
            "token": token.strip(),
            "site": facts.site,
            "self_certificate_pem": home.certificate_file.read_text(),
            "sealing_key": public_sealing_key(home.sealing_file.read_text()),
        },
    )
    write_private(home.hub_certificate_file, str(answer["certificate_pem"]).encode())
    return facts


async def _join(home: Home, invitation: Invitation, request: dict[str, str], text: str) -> HubFacts:
    answer = await enrol(invitation, request)
    try:
        facts = HubFacts(
            site=request["site"],
            url=invitation.url,
            thumbprint=str(answer["hub_thumbprint"]),
            certificate_pem=str(answer["hub_certificate_pem"]),
            authority_pem=str(answer["authority_pem"]),
        )
        way_in = str(answer["certificate_pem"])
    except KeyError as error:
        raise Temporary("hub-garbled", f"The hub's answer lacks {error}; it runs another version.") from error
    if facts.thumbprint != invitation.hub_thumbprint:
        raise Permanent("hub-key-wrong", "The hub names another key than the token does; it was not joined.")
    SqliteJournal(home.journal_file).close()  # from now on its absence means that it was lost
    write_private(home.offers_file, text.encode())
    write_private(home.hub_certificate_file, way_in.encode())
    write_private(home.hub_file, json.dumps(asdict(facts), indent=1).encode())
    return facts


def forget_hub(home: Home) -> None:
    """The site is nobody's any more; its keys stay, its memory is put aside."""
    for path in (home.hub_file, home.hub_certificate_file):
        path.unlink(missing_ok=True)
    if home.journal_file.exists():
        home.journal_file.replace(home.journal_file.with_suffix(".left"))
    for leftover in home.directory.glob("journal.sqlite-*"):
        leftover.unlink()


def _keys(home: Home, site_file: SiteFile, now: datetime) -> str:
    """The self-signed certificate over the site's key; both are made if they are not there."""
    home.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = load_or_make_key(home.key_file)
    load_or_make_sealing_key(home.sealing_file)
    addresses = [site_file.data.address] if site_file.data.address else []
    if home.certificate_file.exists() and covers(home.certificate_file.read_text(), addresses):
        return home.certificate_file.read_text()
    certificate = self_signed(key, site_file.site.id, addresses, now)
    write_private(home.certificate_file, certificate.encode())
    return certificate


def _offers(home: Home, offers: Path | None) -> tuple[str, SiteFile]:
    path = offers or home.offers_file
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Permanent(
            "file-missing",
            f"{path} cannot be read: {error}. Name it with --offers; `docs/sites.md` shows one.",
        ) from error
    return text, read_site_file(text, str(path))


def _existing(home: Home) -> set[Path] | None:
    return set(home.directory.iterdir()) if home.directory.is_dir() else None


def _undo(home: Home, before: set[Path] | None) -> None:
    if not home.directory.is_dir():
        return
    for path in (home.key_file, home.certificate_file, home.sealing_file, home.offers_file):
        if before is None or path not in before:
            path.unlink(missing_ok=True)
    if before is None and not any(home.directory.iterdir()):
        home.directory.rmdir()
