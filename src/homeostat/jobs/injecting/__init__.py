"""Events of an app, sent at a rate to a server or a stream."""
