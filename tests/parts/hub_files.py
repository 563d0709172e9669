"""Application files for hub tests."""


def shop_file(
    image: str, *, storage: str = "10", memory: str = "1", way_back: str = "24h", policy: str = ""
) -> str:
    """A web component over a bucket, exposed."""
    return f"""\
hanse: 1
name: shop
{policy}components:
  files:
    kind: bucket
    size: {{storage_gib: {storage}}}
    way_back: {way_back}
  web:
    kind: container
    image: {image}
    size: {{vcpu: 1, memory_gib: {memory}}}
    uses:
      - component: files
    expose: {{port: 8080}}
"""
