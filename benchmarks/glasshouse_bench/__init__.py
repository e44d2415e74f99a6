"""Glasshouse against its peers: the same questions to each of them in turns, and a table of what came out."""
