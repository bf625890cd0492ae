"""What a job needs on this worker: its folder, its files, its command and environment, its output, and cleaning up."""
