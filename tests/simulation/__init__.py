"""The cluster in one process, from one seed: see docs/simulation.md."""
