"""Buckets on SeaweedFS, followed by rclone."""
