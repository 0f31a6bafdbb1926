# The steps of .ci/run by their names: `make style`, `make core`; `make` alone lists them, `make all`
# does the usual ones, and `make coverage TESTS='tests/rounds'` says what those tests reach. A Makefile
# and not a noxfile: .ci/run makes its own environments, so there is nothing for nox to do, and make
# need not be installed by pip. The commands stand in .ci/run alone.
STEPS := first style types core tidy tests openmpi oldest newest slow coverage

.PHONY: help all $(STEPS)

help:
	@echo "make all, or one of: $(STEPS)"

all:
	.ci/run

$(STEPS):
	.ci/run $@
