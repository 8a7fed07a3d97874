"""How far two samples lie apart, and whether that matters."""
