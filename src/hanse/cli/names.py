"""`APP/COMPONENT`, as a person writes it."""

import re

from hanse.ports import Permanent

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")


def split_component(text: str) -> tuple[str, str]:
    """Application and component. Raises Permanent(`name-malformed`)."""
    application, component = split_name(text)
    if component is None:
        raise Permanent(
            "name-malformed",
            f"{text!r} names an application only. Name one of its components: {text}/COMPONENT "
            f"(`hanse status {text}` lists them).",
        )
    return application, component


def split_name(text: str) -> tuple[str, str | None]:
    """Application, and component if one is named. Raises Permanent(`name-malformed`)."""
    application, slash, component = text.partition("/")
    if not _NAME.fullmatch(application) or (slash and not _NAME.fullmatch(component)):
        raise Permanent(
            "name-malformed",
            f"{text!r} is not like APP or APP/COMPONENT: small letters, digits and hyphens, at most 40 each.",
        )
    return application, component if slash else None


def application_name(text: str) -> str:
    """The name of an application as a whole. Raises Permanent(`name-malformed`)."""
    application, component = split_name(text)
    if component is not None:
        raise Permanent(
            "name-malformed",
            f"{text!r} names one component, this is about an application whole: {application}.",
        )
    return application
