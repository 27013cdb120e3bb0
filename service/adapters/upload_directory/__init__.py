"""Uploads in parts, in a local directory."""

from service.adapters.upload_directory.directory import UploadDirectory

__all__ = ["UploadDirectory"]
