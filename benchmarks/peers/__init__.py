"""Runs a problem with numpygeons and with its rivals: one file a method, `methods` lists them."""
