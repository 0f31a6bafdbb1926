"""Shows the table of truths and estimates after the run; long problems run with -m reference."""

import pytest

ROW = "row of the reference table"  # a property of a test, which reaches the process that reports
HEADINGS = ("problem", "quantity", "truth", "estimate", "errors", "seconds", "bars")


@pytest.fixture
def tabulate(record_property):
    """Adds rows to the table, each with one text per heading."""

    def add(rows):
        for row in rows:
            record_property(ROW, row)

    return add


def pytest_terminal_summary(terminalreporter):
    reports = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
    ]
    rows = [row for report in reports for name, row in report.user_properties if name == ROW]
    if not rows:
        return
    terminalreporter.section("reference problems (errors: in standard errors)")
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    for row in (HEADINGS, *rows):
        cells = [
            text.ljust(width) if i in (0, 1, 6) else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        terminalreporter.write_line("  ".join(cells).rstrip())
