"""The site's proxy: pinned streams in, stable local addresses out."""
