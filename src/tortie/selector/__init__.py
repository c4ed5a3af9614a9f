"""The selector language: parse, canonical form, evaluate, index."""
