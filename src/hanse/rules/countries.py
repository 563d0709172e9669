"""Names for groups of countries."""

from typing import Final

EU: Final = (
    *("AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE"),
    *("IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"),
)
"""Member states of the European Union (27 since 2020-02-01)."""

EEA: Final = tuple(sorted((*EU, "IS", "LI", "NO")))
"""European Economic Area: the Union with Iceland, Liechtenstein and Norway."""

GROUPS: Final = {"EU": EU, "EEA": EEA}
"""What may stand in place of a list of countries."""

GROUP_NAMES: Final = {"EU": "the European Union", "EEA": "the European Economic Area"}
