{{- define "svclink.labels" -}}
app: svclink
app.kubernetes.io/name: svclink
{{- end }}
