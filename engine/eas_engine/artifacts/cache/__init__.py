"""What was fetched and unpacked, by content, shared by the engines of a state root."""
