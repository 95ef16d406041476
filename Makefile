# For users: removes the EndpointSlices that svclink created. See docs/how-to/cleanup-endpointslices.md.
# Flags of the script go into ARGS: make cleanup-endpointslices ARGS="--namespace shop --yes"
# The checks of the project are nox sessions. See CONTRIBUTING.md.

.PHONY: help cleanup-endpointslices cleanup-endpointslices-dry

help: # The default target, so that `make` alone deletes nothing.
	@echo 'make cleanup-endpointslices-dry   print the EndpointSlices that would be deleted'
	@echo 'make cleanup-endpointslices       delete them, after a question'
	@hack/cleanup-endpointslices.sh --help

cleanup-endpointslices:
	@hack/cleanup-endpointslices.sh $(ARGS)

cleanup-endpointslices-dry:
	@hack/cleanup-endpointslices.sh --dry-run $(ARGS)
