"""Names that two deployables share, written once: headers, labels, metrics, events, tensors and package files.

It has no dependency, so that every environment can hold it.
"""
