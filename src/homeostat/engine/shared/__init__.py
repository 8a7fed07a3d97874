"""Several processes deciding as one: the pasts of entities and the journal lie on servers that all of them share."""
