"""Which rows of the catalogue a person wants to see: `vcpu >= 4 and price < 50`.

| word | means | type |
|---|---|---|
| `kind`, `name`, `gpu` | of the offer | text |
| `vcpu`, `memory`, `disk` | of the offer; GiB | number |
| `price` | EUR a month (730 h): vm, gpu_vm, kubernetes, postgres | number |
| `price_per_gib` | EUR per GiB and month: bucket, volume | number |
| `egress` | EUR per GiB of traffic out | number |
| `free` | free units | number |
| `bookable` | a joined site states it | true/false |
| `provider`, `seat`, `parent` | provider id, country of its seat, country of its ultimate control | text |
| `site`, `country`, `city`, `site_kind` | of the site | text |
| `renewable`, `joined` | of the site | true/false |

Comparisons `= != < <= > >=`, `in (…)`, `not in (…)`, joined by `and`, `or`, `not` and parentheses. A
true/false word may stand alone. What a source does not say is unknown, and unknown is never shown.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, cast

from hanse.model.application.requirement import AllOf, AnyOf, Compare, Expression, Negated, Scalar, Truth
from hanse.model.market.offer import Catalogue, Offer, Provider, Site
from hanse.model.shape import Shape
from hanse.rules.evaluate import evaluate
from hanse.rules.facts import UNKNOWN, FactValue, facts_of, volume_sites_of

TEXT_MAX = 1_000
DEPTH_MAX = 16
Noun = Literal["offers", "sites", "providers"]
Sort = Literal["number", "text", "truth"]
Test = Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in"]

_WORDS: Final[Mapping[str, tuple[str, Sort]]] = {
    "kind": ("offer.kind", "text"),
    "name": ("query.name", "text"),
    "gpu": ("query.gpu", "text"),
    "vcpu": ("offer.vcpu", "number"),
    "memory": ("offer.memory_gib", "number"),
    "disk": ("offer.disk_gib", "number"),
    "price": ("query.price", "number"),
    "price_per_gib": ("query.price_per_gib", "number"),
    "egress": ("query.egress", "number"),
    "free": ("offer.free_units", "number"),
    "bookable": ("offer.bookable", "truth"),
    "provider": ("provider.id", "text"),
    "seat": ("provider.country", "text"),
    "parent": ("provider.parent_country", "text"),
    "site": ("site.id", "text"),
    "country": ("site.country", "text"),
    "city": ("query.city", "text"),
    "site_kind": ("site.kind", "text"),
    "renewable": ("site.renewable", "truth"),
    "joined": ("site.joined", "truth"),
}
_TESTS: Final[Mapping[str, Test]] = {
    "=": "eq", "==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge",
}  # fmt: skip
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>==|!=|<=|>=|[=<>(),])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s=!<>(),"']+))"""
)
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,9})?")


class QueryMistake(Shape):
    """Why a query cannot be read; `column` counts from 1."""

    column: int
    what: str


class Query(Shape):
    """What to show. `country` is where a site stands, or the seat of a provider."""

    kind: str | None = None
    country: str | None = None
    where: Expression = AllOf(parts=())


class _Token(NamedTuple):
    column: int
    text: str
    quoted: bool


class _Unreadable(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, column: int, what: str) -> None:
        super().__init__(what)
        self.mistake = QueryMistake(column=column, what=what)


def parse_where(text: str, noun: Noun = "offers") -> Expression | QueryMistake:
    """The condition as an expression over facts of these nouns, or what is wrong and where."""
    if len(text) > TEXT_MAX:
        return QueryMistake(column=TEXT_MAX, what=f"the condition is longer than {TEXT_MAX} characters")
    try:
        tokens = list(_tokens(text))
        if not tokens:
            return AllOf(parts=())
        reader = _Reader(tokens, len(text) + 1, _words_of(noun))
        expression = reader.either(0)
        reader.finish()
    except _Unreadable as stopped:
        return stopped.mistake
    return expression


def select_offers(catalogue: Catalogue, query: Query) -> tuple[Offer, ...]:
    """Offers for which everything asked is true, in the catalogue's order."""
    sites = {site.site: site for site in catalogue.sites}
    providers = {provider.provider: provider for provider in catalogue.providers}
    with_volume = volume_sites_of(catalogue)

    def wanted(offer: Offer) -> bool:
        site = sites[offer.site]
        if query.kind not in (None, offer.kind) or query.country not in (None, site.country):
            return False
        facts = facts_of(offer, site, providers[site.provider], catalogue, volume_sites=with_volume)
        return evaluate(query.where, {**facts, **_more(offer, site)}) is Truth.TRUE

    return tuple(offer for offer in catalogue.offers if wanted(offer))


def select_sites(catalogue: Catalogue, query: Query) -> tuple[Site, ...]:
    """Sites for which everything asked is true; `kind` is the site's own."""
    providers = {provider.provider: provider for provider in catalogue.providers}
    with_volume = volume_sites_of(catalogue)

    def wanted(site: Site) -> bool:
        if query.kind not in (None, site.kind) or query.country not in (None, site.country):
            return False
        facts = facts_of(None, site, providers[site.provider], catalogue, volume_sites=with_volume)
        return evaluate(query.where, {**facts, "query.city": site.city}) is Truth.TRUE

    return tuple(site for site in catalogue.sites if wanted(site))


def select_providers(catalogue: Catalogue, query: Query) -> tuple[Provider, ...]:
    """Providers with these facts; `country` is their seat, `kind` a kind of offer that they sell."""
    sellers = {offer.site.partition("/")[0] for offer in catalogue.offers if offer.kind == query.kind}

    def wanted(provider: Provider) -> bool:
        if query.kind is not None and provider.provider not in sellers:
            return False
        facts: dict[str, FactValue] = {
            "provider.id": provider.provider,
            "provider.country": provider.country,
            "provider.parent_country": provider.parent_country or UNKNOWN,
        }
        seat = query.country in (None, provider.country)
        return seat and evaluate(query.where, facts) is Truth.TRUE

    return tuple(provider for provider in catalogue.providers if wanted(provider))


def _more(offer: Offer, site: Site) -> dict[str, FactValue]:
    """What only queries read: prices in euros, names."""
    return {
        "query.name": offer.name,
        "query.gpu": offer.gpu,
        "query.city": site.city,
        "query.price": _eur(offer.price_micro_eur_per_month),
        "query.price_per_gib": _eur(offer.price_micro_eur_per_gib_month),
        "query.egress": _eur(offer.egress_micro_eur_per_gib),
    }


def _eur(micro_eur: int | None) -> FactValue:
    return UNKNOWN if micro_eur is None else micro_eur / 1_000_000


def _words_of(noun: Noun) -> dict[str, tuple[str, Sort]]:
    """Words that mean something for these nouns: a site has no price, a provider no city."""
    told = {"offers": ("",), "sites": ("provider.", "site.", "query.city"), "providers": ("provider.",)}[noun]
    return {word: meaning for word, meaning in _WORDS.items() if meaning[0].startswith(told)}


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            start = at + len(text[at:]) - len(text[at:].lstrip())
            what = "a quote is not closed" if text[start] in "\"'" else f"{text[start]!r} is not understood"
            raise _Unreadable(start + 1, what)
        kind = cast("str", found.lastgroup)
        quoted = kind in ("double", "single")
        yield _Token(found.start(kind) + (0 if quoted else 1), found[kind], quoted)
        at = found.end()


@dataclass(slots=True)
class _Reader:
    """Recursive descent: `or` of `and` of `not`, comparisons and parentheses."""

    tokens: list[_Token]
    end: int
    words: Mapping[str, tuple[str, Sort]]
    at: int = 0

    def either(self, depth: int) -> Expression:
        if depth > DEPTH_MAX:
            raise _Unreadable(self._column(), f"parentheses are deeper than {DEPTH_MAX}")
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else AnyOf(parts=tuple(parts))

    def finish(self) -> None:
        token = self._peek()
        if token is not None:
            raise _Unreadable(token.column, f"expected `and`, `or` or the end before {token.text!r}")

    def _both(self, depth: int) -> Expression:
        parts = [self._single(depth)]
        while self._take("and"):
            parts.append(self._single(depth))
        return parts[0] if len(parts) == 1 else AllOf(parts=tuple(parts))

    def _single(self, depth: int) -> Expression:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            part = self.either(depth + 1)
            self._expect(")")
        else:
            part = self._comparison()
        return Negated(part=part) if negated else part

    def _comparison(self) -> Expression:
        token = self._next("a word like `vcpu`")
        if token.quoted or token.text not in self.words:
            raise _Unreadable(token.column, f"{token.text!r} is not one of: {', '.join(self.words)}")
        fact, sort = self.words[token.text]
        column = self._column()
        negated = self._take("not")
        if self._take("in"):
            return Compare(fact=fact, test="not_in" if negated else "in", value=self._list(sort))
        mark = self._peek()
        if negated:
            raise _Unreadable(column, "expected `in` after `not`")
        if mark is None or mark.quoted or mark.text not in _TESTS:
            if sort == "truth":
                return Compare(fact=fact, test="eq", value=True)
            raise _Unreadable(column, f"expected a comparison after `{token.text}`: = != < <= > >= in")
        self.at += 1
        test = _TESTS[mark.text]
        if sort != "number" and test not in ("eq", "ne"):
            raise _Unreadable(mark.column, f"`{token.text}` is no number; use = or !=")
        return Compare(fact=fact, test=test, value=self._value(sort))

    def _list(self, sort: Sort) -> tuple[Scalar, ...]:
        self._expect("(")
        values = [self._value(sort)]
        while self._take(","):
            values.append(self._value(sort))
        self._expect(")")
        return tuple(values)

    def _value(self, sort: Sort) -> Scalar:
        token = self._next("a value")
        if not token.quoted and token.text in (*_TESTS, "(", ")", ","):
            raise _Unreadable(token.column, f"expected a value before {token.text!r}")
        if sort == "text":
            return token.text
        if sort == "truth":
            if token.text not in ("true", "false"):
                raise _Unreadable(token.column, f"{token.text!r} is neither true nor false")
            return token.text == "true"
        if token.quoted or not _NUMBER.fullmatch(token.text):
            raise _Unreadable(token.column, f"{token.text!r} is not a number")
        return float(token.text)

    def _peek(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _column(self) -> int:
        token = self._peek()
        return self.end if token is None else token.column

    def _next(self, wanted: str) -> _Token:
        token = self._peek()
        if token is None:
            raise _Unreadable(self.end, f"expected {wanted}, the condition ends here")
        self.at += 1
        return token

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token is None or token.quoted or token.text != text:
            return False
        self.at += 1
        return True

    def _expect(self, text: str) -> None:
        column = self._column()
        if not self._take(text):
            raise _Unreadable(column, f"expected {text!r}")
