"""How each kind of model is trained. The training libraries are imported only when something is trained."""
