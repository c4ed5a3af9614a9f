"""Commands of `tortie`, and the one place where the other packages are wired together."""
