"""The shipped applications: an app file and a trained bundle each."""
