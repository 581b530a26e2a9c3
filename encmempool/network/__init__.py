"""Seam 4: adapters that connect the sans-IO roles: in one process here, over HTTP elsewhere."""
