"""The one boundary to ``csrc``: Cython wrappers that call the C API of ``smiless.h`` and nothing else."""
