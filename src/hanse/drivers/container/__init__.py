"""Containers: podman and runc, one engine a site, one network an application."""
