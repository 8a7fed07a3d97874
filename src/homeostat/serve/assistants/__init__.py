"""Serves reading and proposing to outside assistants, over the Model Context Protocol."""
