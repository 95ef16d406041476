module svclink.cloudpilot.ai/hack/envtest/pause

go 1.21
