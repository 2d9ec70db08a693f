"""Learning methods: what turns an environment's rewards into a policy."""
