"""The texts and files of the demo: three invented providers, one real program, real images."""

import importlib.metadata
import shutil
import sys
import tarfile
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


def application_file(image: str) -> str:
    """A clinic's image store: WebDAV in front of a bucket, both within the EU, never at one provider."""
    return f"""\
hanse: 1
name: clinic
policy:
  countries: EU
  budget_eur_per_month: 60
  apart:
    - {{components: [images, web], at: provider}}
  latency:
    - {{component: web, to: {{city: Milan}}, max_ms: 40}}
components:
  images:
    kind: bucket
    size: {{storage_gib: 50}}
    way_back: 24h
    retrieval: 30d
  web:
    kind: container
    state: none
    image: {image}
    command: [/rclone, serve, webdav, "images:${{images.bucket}}", --addr, ":8080",
              --vfs-cache-mode, "off", --dir-cache-time, 1s]
    env:
      RCLONE_CONFIG: /dev/null
      RCLONE_CONFIG_IMAGES_TYPE: s3
      RCLONE_CONFIG_IMAGES_PROVIDER: SeaweedFS
      RCLONE_CONFIG_IMAGES_FORCE_PATH_STYLE: "true"
      RCLONE_CONFIG_IMAGES_NO_CHECK_BUCKET: "true"
      RCLONE_CONFIG_IMAGES_REGION: ${{images.region}}
      RCLONE_CONFIG_IMAGES_ENDPOINT: ${{images.endpoint}}
      RCLONE_CONFIG_IMAGES_ACCESS_KEY_ID: ${{images.access_key}}
      RCLONE_CONFIG_IMAGES_SECRET_ACCESS_KEY: ${{images.secret_key}}
    size: {{vcpu: 1, memory_gib: 1, disk_gib: 2}}
    uses: [{{component: images, traffic_gib_per_month: 50}}]
    expose: {{port: 8080, protocol: http}}
"""


def pack_rclone(into: Path) -> Path:
    """A root file system with one real program in it: rclone, as its package ships it."""
    binary = Path(sys.executable).parent / "rclone"
    if not binary.exists():
        raise SceneryError(f"rclone is not at {binary}: run `make setup`")
    root = into / "rootfs"
    (root / "tmp").mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy2(binary.resolve(), root / "rclone")
    (root / "rclone").chmod(0o755)
    archive = into / "webdav.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name, filter=_plain)
    shutil.rmtree(root)
    return archive


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Same bytes on every machine: no owner, no date."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    return member


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
