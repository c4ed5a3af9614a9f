"""Who gets which address: Calico 3.7's blocks, affinities and handles, as operations that ask for every read and write."""
