{{- define "rerankd.probes" -}}
{{- /* Liveness starts when the start is over, so that loading a model is never cut short by it. */ -}}
startupProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: {{ divf .Values.probes.startupSeconds 2 | ceil | int }}
readinessProbe:
  httpGet: { path: /readyz, port: http }
  {{- toYaml .Values.probes.readiness | nindent 2 }}
livenessProbe:
  httpGet: { path: /healthz, port: http }
  {{- toYaml .Values.probes.liveness | nindent 2 }}
{{- end }}

{{- define "rerankd.preStop" -}}
{{- $seconds := int .Values.shutdown.preStopSleepSeconds }}
{{- if $seconds }}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version }}
    sleep: { seconds: {{ $seconds }} }
    {{- else }}
    exec: { command: [sleep, "{{ $seconds }}"] }
    {{- end }}
{{- end }}
{{- end }}

{{- define "rerankd.spread" -}}
{{- with .Values.topologySpread }}
{{- if or .zone .node }}
topologySpreadConstraints:
  {{- range $key, $when := dict "topology.kubernetes.io/zone" .zone "kubernetes.io/hostname" .node }}
  {{- if $when }}
  - topologyKey: {{ $key }}
    maxSkew: 1
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels: {{ include "rerankd.selector" $ | nindent 8 }}
        app.kubernetes.io/component: service
    matchLabelKeys: [pod-template-hash]
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
