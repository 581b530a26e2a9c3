"""Seam 2: threshold encryption schemes, one file each, behind `threshold.schemes.base`."""
