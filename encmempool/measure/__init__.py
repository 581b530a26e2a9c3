"""The experiment: a market with real trade sizes, attackers with stated views, and what they cost users."""
