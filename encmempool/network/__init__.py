"""Seam 4: what connects the sans-IO roles: calls within one process, or HTTP between nodes."""
