"""How key material comes to exist: a distributed key generation, or a trusted dealer that is labelled as one."""
