"""The demo: four acts of a claims model under steady traffic. Start reading at ``__main__`` and ``acts``."""
