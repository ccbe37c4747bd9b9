"""Configuration search: the cheapest choice of one mode per function that meets the SLA."""
