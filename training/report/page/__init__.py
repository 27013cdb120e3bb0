"""The report as one HTML page that needs nothing else: no script, no font, no network."""

from training.report.page.whole import page

__all__ = ["page"]
