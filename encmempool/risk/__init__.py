"""Sequencer risk: how often ordering fails, what that costs, and the collateral that makes abuse irrational."""
