"""What a newcomer does first: installing, the blocks of README and docs, the package."""
