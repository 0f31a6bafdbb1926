"""Parallel tempering for NumPyro models: draws from every mode, and the evidence with its error."""
