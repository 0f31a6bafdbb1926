"""Shows the table of truths and estimates after the run; long problems run with -m reference."""

import pytest

ROWS = pytest.StashKey[list]()
HEADINGS = ("problem", "quantity", "truth", "estimate", "errors", "seconds", "bars")


def pytest_configure(config):
    config.stash[ROWS] = []


def pytest_collection_modifyitems(config, items):
    if any(mark in config.option.markexpr for mark in ("slow", "reference")):
        return
    for item in items:
        if item.get_closest_marker("reference") and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="longer than 10 s: run with -m reference"))


@pytest.fixture(scope="session")
def table(pytestconfig):
    """The rows of the table, each with one text per heading; tests add theirs."""
    return pytestconfig.stash[ROWS]


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
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
