{{- /* What a schema cannot say. Each message names the value and what to do. */ -}}
{{- define "rerankd.checks" -}}
{{- $values := .Values }}
{{- range $name, $volume := dict "model" $values.model "engines" $values.engines }}
{{- if and (eq $volume.storage "claim") (not $volume.claim) }}
{{- fail (printf "%s.storage is claim: name the volume claim in %s.claim" $name $name) }}
{{- end }}
{{- end }}
{{- if and (eq $values.model.storage "pod") (ne $values.prepare.by "initContainer") }}
{{- fail "model.storage is pod: the volume is empty unless prepare.by is initContainer" }}
{{- end }}
{{- /* What is prepared: for a GPU the files of the model, for a processor the converted model. */}}
{{- $target := ternary "model" "engines" $values.gpu.enabled }}
{{- $storage := get (get $values $target) "storage" }}
{{- if and (eq $values.prepare.by "initContainer") (eq $storage "image") }}
{{- fail (printf "prepare.by is initContainer: it cannot write to the image; set %s.storage to pod or claim" $target) }}
{{- end }}
{{- if and (eq $values.prepare.by "job") (ne $storage "claim") }}
{{- fail (printf "prepare.by is job: it needs a volume that outlives it; set %s.storage to claim" $target) }}
{{- end }}
{{- $variant := include "rerankd.variant" . }}
{{- if and $values.gpu.enabled (ne $variant "gpu") }}
{{- fail (printf "gpu.enabled needs the image.variant gpu, not %s" $variant) }}
{{- end }}
{{- if gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas (%d) exceeds autoscaling.maxReplicas (%d)" (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) }}
{{- end }}
{{- if eq $values.autoscaling.kind "keda" }}
{{- $fallback := int $values.autoscaling.keda.fallbackReplicas }}
{{- if or (lt $fallback (int $values.autoscaling.minReplicas)) (gt $fallback (int $values.autoscaling.maxReplicas)) }}
{{- fail (printf "autoscaling.keda.fallbackReplicas (%d) is not between minReplicas and maxReplicas" $fallback) }}
{{- end }}
{{- end }}
{{- if $values.drift.enabled }}
{{- range $name := list "image" "prometheus" }}
{{- if not (get $values.drift $name) }}
{{- fail (printf "drift.enabled needs drift.%s" $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $values.networkPolicy.enabled (not $values.networkPolicy.egress) }}
{{- with include "rerankd.calls" . }}
{{- fail (printf "%s names another service, but networkPolicy.egress allows no connection: add a rule for it" .) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The first value that makes the service call another one; empty if there is none. */ -}}
{{- define "rerankd.calls" -}}
{{- $settings := .Values.settings }}
{{- $secret := ternary .Values.keys.fromSecret dict (ne .Values.keys.existingSecret "") }}
{{- if regexMatch "^(https?://|cohere:|jina:|voyage:)" .Values.model.name }}model.name
{{- else if hasKey $settings "fallback" }}settings.fallback
{{- else if hasKey $settings "llm" }}settings.llm
{{- else if hasPrefix "http" (get $settings "embedder" | toString) }}settings.embedder
{{- else if get $settings "traces" }}settings.traces
{{- else if hasKey $secret "store" }}keys.fromSecret.store
{{- else if hasKey $secret "shared" }}keys.fromSecret.shared
{{- else }}
{{- range splitList "," (get $settings "store" | default "" | toString) }}
{{- if and . (not (regexMatch "^ *(sqlite|faiss):" .)) }}settings.store{{ break }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
