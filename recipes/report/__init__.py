"""The report of an evaluation: figures and one self-contained HTML page."""

from recipes.report.write import write_report

__all__ = ["write_report"]
