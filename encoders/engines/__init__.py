"""Other ways than torch to run a BERT-shaped language model: integers, on the CPU.

An engine takes ids and gives pooled scores of the vocabulary, one text at a time: what a vector
is does not depend on the texts beside it, and no text is padded.
"""
