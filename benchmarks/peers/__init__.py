"""What a user would pick instead of the lab, each as its own tutorials write it; one file a peer.

Each file has `build(task) -> Session`; see `benchmarks.task`.
"""
