"""Where published versions and datasets lie when that is an S3-compatible store: the store is the truth, and what is
served from is a directory that mirrors it. Whoever reads that directory need not know.
"""

from service.adapters.object_store.bucket import Bucket
from service.adapters.object_store.cache import Cache
from service.adapters.object_store.dataset_files import StoredDatasets
from service.adapters.object_store.metrics import StoreMetrics
from service.adapters.object_store.mirror import Mirror
from service.adapters.object_store.publishing import StorePublisher
from service.adapters.object_store.repository import MirroredRepository

__all__ = ["Bucket", "Cache", "Mirror", "MirroredRepository", "StoreMetrics", "StorePublisher", "StoredDatasets"]
