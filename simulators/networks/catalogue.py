"""The networks by name."""

from simulators.networks.mc_like import McLike
from simulators.networks.network import Network
from simulators.networks.visa_like import VisaLike

NETWORKS: dict[str, Network] = {network.name: network for network in (VisaLike(), McLike())}
