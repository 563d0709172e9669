"""The cheapest bundle by trying every one. Shares no code with the planner or the verifier."""

import itertools
import math
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

Choice = tuple  # (offer or None, volume or None, site)


class Oracle:
    """One question; `cheapest(left_out)` answers it without the conditions named."""

    def __init__(self, mandate, catalogue, market):
        self.mandate, self.catalogue, self.market = mandate, catalogue, market
        self.sites = {each.site: each for each in catalogue.sites}
        self.names = [each.component for each in mandate.demands]

    def cheapest(self, left_out=frozenset(), preferred=True):
        """Least cost, or None."""
        options = [self.options(demand, left_out) for demand in self.mandate.demands]
        bundles = [
            (
                self.cost(dict(zip(self.names, bundle, strict=True))),
                dict(zip(self.names, bundle, strict=True)),
            )
            for bundle in itertools.product(*options)
        ]
        allowed = [(cost, bundle) for cost, bundle in bundles if self.allowed(cost, bundle, left_out)]
        if preferred:
            for pairs in self.preferences():
                chosen = [each for each in allowed if self.differ(each[1], pairs)]
                if chosen:
                    allowed = chosen
                    break
        return min((cost for cost, _ in allowed), default=None)

    def options(self, demand, left_out):
        found = []
        if demand.kind == "endpoint":
            places = self.catalogue.runs if self.market == "bookable" else self.sites
            found = [(None, None, self.sites[name]) for name in places]
        for offer in self.catalogue.offers:
            managed = offer.kind == "postgres" and f"{demand.component}.managed" not in left_out
            if managed and self.market == "bookable":
                continue
            if offer.kind in demand.offer_kinds and (offer.bookable or self.market == "all"):
                found += [
                    (offer, volume, self.sites[offer.site])
                    for volume in self.volumes(demand, offer, left_out)
                ]
        return [each for each in found if self.fits(demand, each, left_out)]

    def volumes(self, demand, offer, left_out):
        if offer.kind != "vm" or offer.disk_gib != 0 or demand.storage_gib is None:
            return [None]
        there = [
            each
            for each in self.catalogue.offers
            if each.kind == "volume"
            and each.site == offer.site
            and each.price_micro_eur_per_gib_month is not None
            and each.free_units != 0
            and (each.bookable or self.market == "all")
        ]
        return there or ([None] if f"{demand.component}.volume" in left_out else [])

    def fits(self, demand, choice, left_out):
        offer, _, site = choice
        for requirement in demand.requirements:
            if requirement.id not in left_out and not self.holds(
                requirement.expression.parts[0], offer, site
            ):
                return False
        if offer is None:
            return True
        name = demand.component
        leaving = any(t.from_component == name and t.gib_per_month > 0 for t in self.mandate.traffic)
        if leaving and self.egress(offer) is None and f"{name}.egress" not in left_out:
            return False
        whole = offer.kind in ("vm", "postgres")
        unit = offer.price_micro_eur_per_month if whole else offer.price_micro_eur_per_gib_month
        return (unit is not None and (whole or demand.storage_gib is not None)) or f"{name}.price" in left_out

    def holds(self, compare, offer, site):
        if compare.fact == "site.country":
            return site.country in compare.value
        if compare.fact == "offer.vcpu":
            return offer.vcpu is not None and offer.vcpu >= compare.value
        if compare.fact == "offer.available":
            return offer.free_units is None or offer.free_units > 0
        assert compare.fact == "rtt_ms:45,9"
        return self.distance_ms((site.latitude, site.longitude), (45, 9)) <= compare.value

    def distance_ms(self, one, other):
        (a, b), (c, d) = ([math.radians(x) for x in place] for place in (one, other))
        cosine = math.sin(a) * math.sin(c) + math.cos(a) * math.cos(c) * math.cos(b - d)
        return 2 + 0.015 * 6371.0088 * math.acos(max(-1, min(1, cosine))) - 1e-6

    def egress(self, offer):
        stated = offer.egress_micro_eur_per_gib if offer else None
        return self.mandate.assume_egress_micro_eur_per_gib if stated is None else stated

    def price(self, demand, choice):
        offer, volume, site = choice
        if offer is None:
            return self.catalogue.endpoint_micro_eur_per_month.get(site.site, 0)
        if offer.price_micro_eur_per_month is None and offer.price_micro_eur_per_gib_month is None:
            return 0
        total = 0
        for goods in (offer, volume):
            if goods is not None and goods.kind in ("vm", "postgres"):
                total += goods.price_micro_eur_per_month or 0
            elif goods is not None:
                total += self.amount(demand.storage_gib or 0, goods.price_micro_eur_per_gib_month or 0)
        return total

    def amount(self, gib, each):
        return int((Decimal(str(gib)) * each).quantize(Decimal(1), ROUND_HALF_UP))

    def parts(self, bundle):
        """Per demand: its own price and what its traffic costs."""
        parts = {each.component: self.price(each, bundle[each.component]) for each in self.mandate.demands}
        for each in self.mandate.traffic:
            offer, _, site = bundle[each.from_component]
            if site.provider != bundle[each.to_component][2].provider:
                parts[each.from_component] += self.amount(each.gib_per_month, self.egress(offer) or 0)
        return parts

    def cost(self, bundle):
        return sum(self.parts(bundle).values())

    def allowed(self, cost, bundle, left_out):
        used = Counter(g.id for choice in bundle.values() for g in choice[:2] if g is not None)
        units = {each.id: each.free_units for each in self.catalogue.offers}
        if "free-units" not in left_out and any(
            units[k] is not None and n > units[k] for k, n in used.items()
        ):
            return False
        return all(self.rule(rule, cost, bundle) for rule in self.mandate.group if rule.id not in left_out)

    def rule(self, rule, cost, bundle):
        if rule.kind == "budget":
            parts = self.parts(bundle)
            spent = sum(parts[name] for name in rule.components) if rule.components else cost
            return spent <= rule.limit_micro_eur_per_month
        sites = [bundle[name][2] for name in rule.components]
        if rule.kind == "latency-between":
            return all(self.between(*pair) <= rule.limit_ms for pair in itertools.combinations(sites, 2))
        count = len({getattr(each, rule.level) for each in sites})
        return count == (len(sites) if rule.kind == "apart" else 1)

    def between(self, one, other):
        ends = {one.site, other.site}
        known = [ms for key, ms in self.catalogue.rtt_ms.items() if set(key.split(">")) == ends]
        if known:
            return max(known)
        return self.distance_ms((one.latitude, one.longitude), (other.latitude, other.longitude))

    def preferences(self):
        if "a-endpoint" not in self.names:
            return [()]
        own = [("a-endpoint", "a")]
        used = [("a-endpoint", t.from_component) for t in self.mandate.traffic if t.to_component == "a"]
        return [own + used, own, []]

    def differ(self, bundle, pairs):
        return all(bundle[one][2].provider != bundle[other][2].provider for one, other in pairs)
