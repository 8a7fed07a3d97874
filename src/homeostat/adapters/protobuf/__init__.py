"""Protocol buffers of senders whose messages no package of ours declares."""
