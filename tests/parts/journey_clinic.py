"""The journeys' application: rclone's WebDAV server over a bucket, at two providers."""

import shutil
import sys
import tarfile
from pathlib import Path

from hanse.demo.network import SceneryError


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
