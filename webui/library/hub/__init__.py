"""The Hugging Face hub: what people write for a model there, search, the files of a repository, and their transfer.

huggingface-hub speaks to the hub; what it answers is taken as hostile. Nothing here knows queues or pages.
"""
