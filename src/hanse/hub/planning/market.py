"""The catalogue as the hub knows it now: the listed market and what joined sites state."""

from hanse.hub.context import Hub, Joined
from hanse.hub.membership import joined_market
from hanse.hub.records import CatalogueRecord, load
from hanse.model.market.offer import Catalogue
from hanse.ports import Transaction

LISTED = "listed"


def listed_catalogue(hub: Hub, tx: Transaction) -> Catalogue:
    """The imported market, or the shipped one where none was imported."""
    stored = load(tx, "catalogue", LISTED, CatalogueRecord)
    if stored is None:
        return hub.market.shipped()
    value = stored.value
    return hub.market.read_catalogue(value.name, value.providers_csv, value.sites_csv, value.offers_csv)


def read_market(hub: Hub, tx: Transaction) -> tuple[Catalogue, Joined]:
    """What is needed for `current_catalogue`, read in a transaction."""
    return listed_catalogue(hub, tx), joined_market(tx)


def current_catalogue(hub: Hub) -> Catalogue:
    """Listed and joined, merged. Outside any transaction."""
    with hub.look() as tx:
        listed, joined = read_market(hub, tx)
    return hub.market.merge(listed, joined)
