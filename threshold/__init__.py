"""Threshold encryption for mempools: schemes behind one small interface, on interchangeable curve backends.

Knows no transaction, no chain and no network. Start at `threshold.schemes.base`.
"""
