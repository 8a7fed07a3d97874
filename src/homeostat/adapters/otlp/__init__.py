"""OpenTelemetry's protocol: metrics that come over HTTP."""
