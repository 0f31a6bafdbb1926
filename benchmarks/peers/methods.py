"""Lists the methods: each runs a problem with one package, as its user would.

A method is a function of a problem; it returns a function of a seed, which runs the method and
may be called again, with what is compiled kept. All end with draws in constrained space on the
host, and with log Z where the package, or its users, have a way to it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from common.problem import Problem
from common.run import Runner
from peers.jaxns import jaxns
from peers.nuts import nuts
from peers.ours import numpygeons
from peers.remc import remc
from peers.smc import smc


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to run a problem, and what must be installed for it."""

    title: str
    prepare: Callable[[Problem], Runner]
    module: str  # whose absence means: not installed
    package: str  # its name for pip


METHODS = {
    "numpygeons": Method(
        title="numpygeons", prepare=numpygeons, module="numpygeons", package="numpygeons-core"
    ),
    "nuts": Method(title="NumPyro NUTS", prepare=nuts, module="numpyro", package="numpyro"),
    "smc": Method(title="BlackJAX SMC", prepare=smc, module="blackjax", package="blackjax"),
    "remc": Method(
        title="TFP ReplicaExchangeMC",
        prepare=remc,
        module="tensorflow_probability",
        package="tfp-nightly",
    ),
    "jaxns": Method(title="jaxns", prepare=jaxns, module="jaxns", package="jaxns"),
}
