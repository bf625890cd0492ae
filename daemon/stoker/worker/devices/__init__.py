"""Named resources of a worker's machine, such as GPUs: which it has (discovery scripts, ``nvidia-smi``), and how a job
learns which of them it holds. Knows ``config``, ``core.model`` and ``engines.launch``."""
