"""An application file, read and expanded against the catalogue; all its mistakes, or none."""

from hanse.hub.context import FileErrors, Place
from hanse.model.application.file import Application
from hanse.model.application.mistake import Unreadable
from hanse.model.application.reader import read_application
from hanse.model.application.requirement import Mandate
from hanse.model.market.offer import Catalogue
from hanse.rules.expand import expand

FILE = "the application file"


def understand(text: str, catalogue: Catalogue) -> tuple[Application, Mandate]:
    """The application and what must hold. Raises `FileErrors` with every mistake."""
    read = read_application(text, FILE)
    if isinstance(read, Unreadable):
        raise _errors(read)
    places = {site.city: (site.latitude, site.longitude) for site in catalogue.sites}
    providers = {provider.provider for provider in catalogue.providers}
    mandate = expand(read.application, read.lines, places, providers=providers)
    if isinstance(mandate, Unreadable):
        raise _errors(mandate)
    return read.application, mandate


def _errors(unreadable: Unreadable) -> FileErrors:
    places = [
        Place(
            line=mistake.line,
            column=mistake.column,
            field=mistake.field,
            what=mistake.what,
            allowed=mistake.allowed,
        )
        for mistake in unreadable.mistakes
    ]
    return FileErrors("file-unreadable", f"{FILE} cannot be used as it is", places)
