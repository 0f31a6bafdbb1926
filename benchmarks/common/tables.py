"""Prints tables in Markdown, row by row, and reads which rows were asked for."""


def line(cells: list[str] | tuple[str, ...], width: int) -> str:
    """A row of a table, filled up to its width."""
    return "| " + " | ".join([*cells, *[""] * (width - len(cells))]) + " |"


def print_head(columns: list[str] | tuple[str, ...]) -> None:
    """The first two lines of a table."""
    print(line(columns, len(columns)))
    print("|" + " --- |" * len(columns), flush=True)


def number(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def names(text: str, known: tuple[str, ...]) -> list[str]:
    """Those that the text names, with commas between; all where it is empty."""
    chosen = text.split(",") if text else list(known)
    for name in chosen:
        if name not in known:
            raise SystemExit(f"unknown name {name!r}; there are {', '.join(known)}")
    return chosen
