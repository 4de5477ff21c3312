"""From an address to a file, an archive or a folder in the cache, however often it is interrupted."""
