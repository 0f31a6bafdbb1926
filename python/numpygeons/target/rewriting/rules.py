"""What rules of rewriting know of a traced function, and what they give back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpygeons.xla.jaxprs import Values

# For equations, by identity: the function of what is known before to the equation's results.
Replacements = dict[int, Callable[[Values], list[Any]]]
Rule = Callable[[Any], Replacements]  # of a traced function without calls inside
