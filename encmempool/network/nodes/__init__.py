"""The roles of a network as processes of their own."""
