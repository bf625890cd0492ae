"""A job's folder, files, command, environment and output on this worker, and their removal."""
