"""The listed market: imported whole, or refused with every mistake."""

from pydantic import Field

from hanse.hub.context import Hub
from hanse.hub.planning.market import LISTED
from hanse.hub.records import CatalogueRecord, load, save
from hanse.model.shape import Shape

CSV_MAX_CHARS = 8 * 1024 * 1024


class CatalogueFiles(Shape):
    """A market as three CSV texts."""

    name: str = Field(min_length=1, max_length=120)
    providers_csv: str = Field(max_length=CSV_MAX_CHARS)
    sites_csv: str = Field(max_length=CSV_MAX_CHARS)
    offers_csv: str = Field(max_length=CSV_MAX_CHARS)


class Imported(Shape):
    """What is listed from now on."""

    name: str
    version: str
    providers: int
    sites: int
    offers: int


def import_catalogue(hub: Hub, files: CatalogueFiles) -> Imported:
    """Replace the listed market. Raises `FileErrors` and changes nothing if any row is wrong."""
    catalogue = hub.market.read_catalogue(files.name, files.providers_csv, files.sites_csv, files.offers_csv)
    imported = Imported(
        name=files.name,
        version=catalogue.version,
        providers=len(catalogue.providers),
        sites=len(catalogue.sites),
        offers=len(catalogue.offers),
    )
    with hub.change() as change:
        old = load(change.tx, "catalogue", LISTED, CatalogueRecord)
        record = CatalogueRecord(imported_at=change.now, **files.model_dump())
        save(change.tx, "catalogue", LISTED, record, expect=old.version if old else 0)
        change.note("catalogue-imported", f"catalogue/{LISTED}/", **imported.model_dump())
        change.answer(imported)
    return imported
