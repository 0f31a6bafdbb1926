"""The compiled core of numpygeons."""

from numpygeons._core import comm, engine, evidence, random, tempering

__all__ = ["comm", "engine", "evidence", "random", "tempering"]
