"""Tool calls: from what a model writes, in its family's own format, to calls; and back, for calls that must come.

`families` tells which format a chat template speaks, `reader` follows one answer piece by piece, `sections` and its
neighbours read one call each, `lenient_json` mends JSON while it streams, `forced` makes the grammar of calls that are
required. Nothing here knows tokens, except that some marks are control tokens, nor how a call is carried out.
"""
