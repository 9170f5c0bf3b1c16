"""Results -> one self-contained page: text, tables and figures, nothing fetched."""

from connectrial.report.page import render_report, report_figures

__all__ = ["render_report", "report_figures"]
