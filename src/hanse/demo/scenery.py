"""The texts and files of the demo: three invented providers, one real program, real images."""

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from hanse.demo.network import SceneryError


@dataclass(frozen=True)
class Company:
    """An invented provider with one site. Prices are invented too; `simulated` in the demo's table."""

    provider: str
    name: str
    country: str
    site: str
    city: str
    latitude: float
    longitude: float
    vm_eur_per_hour: float
    bucket_eur_per_gib_month: float
    endpoint_eur_per_month: float

    @property
    def site_id(self) -> str:
        """`provider/site`."""
        return f"{self.provider}/{self.site}"


COMPANIES = (
    Company(
        provider="basilisco",
        name="Basilisco Nuvole (invented)",
        country="IT",
        site="bologna",
        city="Bologna",
        latitude=44.49,
        longitude=11.34,
        vm_eur_per_hour=0.0210,
        bucket_eur_per_gib_month=0.011,
        endpoint_eur_per_month=2,
    ),
    Company(
        provider="lindworm",
        name="Lindworm Rechenhaus (invented)",
        country="DE",
        site="leipzig",
        city="Leipzig",
        latitude=51.34,
        longitude=12.37,
        vm_eur_per_hour=0.0125,
        bucket_eur_per_gib_month=0.019,
        endpoint_eur_per_month=2,
    ),
    Company(
        provider="tarasque",
        name="Tarasque Nuages (invented)",
        country="FR",
        site="arles",
        city="Arles",
        latitude=43.68,
        longitude=4.63,
        vm_eur_per_hour=0.0260,
        bucket_eur_per_gib_month=0.016,
        endpoint_eur_per_month=1,
    ),
)


def site_file(company: Company, address: str) -> str:
    """The provider's own file: who, where, which addresses, which offers."""
    return f"""\
provider: {{id: {company.provider}, name: "{company.name}", country: "{company.country}"}}
site:
  id: {company.site_id}
  city: {company.city}
  country: "{company.country}"
  latitude: {company.latitude}
  longitude: {company.longitude}
  kind: micro
data: {{address: {address}, channel_port: 7100, stream_ports: "7200-7299"}}
endpoint: {{address: {address}, ports: "8000-8099", eur_per_month: {company.endpoint_eur_per_month}}}
local: {{address: 127.0.0.1, ports: "20000-20999"}}
offers:
  - {{kind: vm, name: small, vcpu: 2, memory_gib: 4, disk_gib: 40, units: 4,
     price_eur_per_hour: {company.vm_eur_per_hour}, egress_eur_per_gib: 0.01}}
  - {{kind: bucket, name: objects, units: 4,
     price_eur_per_gib_month: {company.bucket_eur_per_gib_month}, egress_eur_per_gib: 0.01}}
"""


def sample_images(directory: Path | None = None) -> list[Path]:
    """The DICOM sample images that pydicom and pydicom-data ship, or the files of a directory."""
    if directory is not None:
        return sorted(path for path in directory.rglob("*") if path.is_file())
    found: dict[str, Path] = {}
    for package in ("pydicom", "pydicom-data"):
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            words = f"the sample images of {package} are not installed: run `make setup`"
            raise SceneryError(words) from None
        for file in files:
            if file.name.endswith(".dcm"):
                found.setdefault(file.name, Path(str(file.locate())))
    return [found[name] for name in sorted(found)]
