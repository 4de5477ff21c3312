"""Where bytes come from: http, OSS, fsspec and local files, with retries and checks."""
