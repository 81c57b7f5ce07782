"""What Holdfast is measured with: ``python -m benchmarks`` makes docs/benchmarks.md and its chart.

Every figure is of whole processes, the peers and Holdfast taking turns in one run; what counts is the ratio of medians.
"""
