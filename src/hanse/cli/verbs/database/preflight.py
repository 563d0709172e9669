"""What an import would meet, said before anything is done."""

from collections.abc import Iterable

from hanse.cli.verbs.database.asking import Found
from hanse.model.application.file import POSTGRES_EXTENSIONS

_NAMED = 5


def objections(source: Found, target: Found) -> list[str]:
    """Why the import cannot work, each with what to do; none if it can."""
    found = _of_versions(source, target) + _of_extensions(source, target) + _of_rights(source)
    if source.languages:
        found.append(f"functions are written in {_some(source.languages)}, which no database here runs")
    if source.policy_roles:
        found.append(
            f"policies of row-level security name the roles {_some(source.policy_roles)}, which are not "
            "here: let them name `public`, or drop them"
        )
    if target.present:
        found.append(
            f"the target is not empty: it has {_some(target.present)}; import into an empty database"
        )
    return found


def remarks(source: Found, target: Found) -> list[str]:
    """What the person should know, though it does not keep the data from coming."""
    told = {
        "without a primary key: {}; copied, but nothing tells their rows apart": source.without_key,
        "not copied, as it belongs to a server: {}": source.left_out,
        "settings made by ALTER DATABASE are not copied: {}; make them here too if they matter": (
            source.settings
        ),
        "row-level security of {} does not bind logins made here: they all own the tables": source.policies,
    }
    found = [words.format(_some(names)) for words, names in told.items() if names]
    if source.large_objects:
        found.append(f"{source.large_objects:,} large objects are copied, too")
    if source.collation != target.collation:
        found.append(f"text is sorted by {source.collation} there and by {target.collation} here")
    return found


def _of_versions(source: Found, target: Found) -> list[str]:
    found = []
    if source.major > target.major:
        found.append(
            f"the source is PostgreSQL {source.major} and the target {target.major}, which is too old for it"
        )
    if source.encoding == "SQL_ASCII":
        found.append("the source's encoding is SQL_ASCII: what its bytes mean is not known; convert it first")
    return found


def _of_extensions(source: Found, target: Found) -> list[str]:
    missing = sorted(source.extensions.keys() - target.extensions.keys())
    allowed = [name for name in missing if name in POSTGRES_EXTENSIONS]
    foreign = [name for name in missing if name not in POSTGRES_EXTENSIONS]
    found = []
    if allowed:
        found.append(
            f"the target lacks the extensions {_some(allowed)}: name them under `extensions` in the "
            "application file, and make it anew; a database gets them when it is made"
        )
    if foreign:
        found.append(f"the source uses the extensions {_some(foreign)}, which no database here has")
    return found + [
        f"the extension {name} is in the schema {space} there and in {target.extensions[name]} here: move it "
        f"there first (`alter extension {name} set schema {target.extensions[name]}`)"
        for name, space in source.extensions.items()
        if target.extensions.get(name, space) != space
    ]


def _of_rights(source: Found) -> list[str]:
    found = []
    if source.unreadable:
        found.append(
            f"the source's user may not read {_some(source.unreadable)}: grant it, or import as their owner"
        )
    if source.filtered:
        found.append(
            f"row-level security hides rows of {_some(source.filtered)} from the source's user: import as "
            "their owner, or as a role with BYPASSRLS"
        )
    if source.large_unreadable:
        found.append(
            f"the source's user may not read {source.large_unreadable:,} large objects: grant it, or import "
            "as their owner"
        )
    return found


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more
