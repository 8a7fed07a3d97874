"""The resources of the HTTP interface, a file each; `table` has their paths."""
