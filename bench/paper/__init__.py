"""The evaluation of SMIless (SC 2024, doi 10.1109/SC41406.2024.00044), once more, in the simulator.

``python -m bench.paper`` writes bench/results/paper.md, one page, and its figures.
"""
