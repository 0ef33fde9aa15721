"""Floor 6: sockets. The card links on one side, the HSM link on the other."""
