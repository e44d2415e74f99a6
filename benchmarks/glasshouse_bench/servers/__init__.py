"""Small servers around peers that have none of their own. They run in the peers' environments."""
