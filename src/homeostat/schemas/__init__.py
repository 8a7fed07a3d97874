"""JSON Schemas of the files that homeostat writes; docs/files.md describes the files."""
