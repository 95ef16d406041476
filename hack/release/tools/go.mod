module svclink/release-tools

go 1.25.0
