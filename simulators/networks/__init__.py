"""What differs between the networks that the switch can play: one module each, behind ``network.Network``."""
