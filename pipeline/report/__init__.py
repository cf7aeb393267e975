"""The report of a run: a page and pictures in ``RUN/report/``."""

from pipeline.report.write import write_report

__all__ = ["write_report"]
