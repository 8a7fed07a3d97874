"""Reports on a month, for audits: how far decisions are a machine's, and how groups of people fared."""
