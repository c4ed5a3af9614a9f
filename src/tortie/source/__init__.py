"""Where resources come from: a directory, etcd, the Kubernetes API; told as `tortie.model.event` has it."""
