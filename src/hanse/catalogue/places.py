"""Cities of the market that comes with the program, for whoever needs no offers: soon loaded, soon read."""

import csv
import importlib.resources
import io


def shipped_places() -> dict[str, tuple[float, float]]:
    """Latitude and longitude of each city, as `market.places_of(market.shipped_market())` has them."""
    file = importlib.resources.files("hanse.catalogue") / "data" / "market" / "sites.csv"
    rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    places: dict[str, tuple[float, float]] = {}
    for row in sorted(rows, key=lambda each: f"{each['provider']}/{each['site'].replace('/', '-')}"):
        places.setdefault(row["city"], (float(row["lat"]), float(row["lon"])))
    return dict(sorted(places.items()))
