"""The compiled core of numpygeons."""

from numpygeons._core import engine, evidence, random, tempering

__all__ = ["engine", "evidence", "random", "tempering"]
