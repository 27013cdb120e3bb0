"""What a run found, as documents: the report, its page, the model card, the lineage, and the sentence that sums it up.

Every sentence is made from the figures; no figure is written by hand.
"""

from training.report.card import model_card
from training.report.document import FORMAT, document, metrics, to_json
from training.report.lineage import lineage
from training.report.page import page
from training.report.verdict import comparison, headline

__all__ = ["FORMAT", "comparison", "document", "headline", "lineage", "metrics", "model_card", "page", "to_json"]
