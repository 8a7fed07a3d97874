"""The normal course of metrics as models serve it: residuals, and how seldom they are so large."""
