"""A sweep as one page: the answer and how sure it is, with what it rests on."""

from sweeps.answer.report.page import read_report, write_report

__all__ = ["read_report", "write_report"]
