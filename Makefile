# Lets users remove the EndpointSlices that svclink created. See docs/how-to/cleanup-endpointslices.md.
# Pass flags for the script in ARGS: make cleanup-endpointslices ARGS="--namespace shop --yes"
# The project's checks are nox sessions. See CONTRIBUTING.md.

.PHONY: help cleanup-endpointslices cleanup-endpointslices-dry

help: # The default target, so that `make` alone deletes nothing.
	@echo 'make cleanup-endpointslices-dry   print the EndpointSlices that would be deleted'
	@echo 'make cleanup-endpointslices       delete them after confirmation'
	@hack/cleanup-endpointslices.sh --help

cleanup-endpointslices:
	@hack/cleanup-endpointslices.sh $(ARGS)

cleanup-endpointslices-dry:
	@hack/cleanup-endpointslices.sh --dry-run $(ARGS)
