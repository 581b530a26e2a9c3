"""Seam 5: running revealed transactions in committed order."""
