"""Runs as one HTML file that says what they cost and what they met, and shows why.

The file holds everything that it needs and asks for nothing else. The same runs give the same bytes.
"""

from smiless_core.report.backtesting import backtest_page, write_backtest
from smiless_core.report.page import report_page, write_report

__all__ = ["backtest_page", "report_page", "write_backtest", "write_report"]
