{{- /* A number of a values file is a float: 1000000 must not become 1e+06. */ -}}
{{- define "rerankd.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}
{{- else }}{{ toString . }}
{{- end }}
{{- end }}

{{- /* What the engine needs: for the service, and for what prepares the model. */ -}}
{{- define "rerankd.env.model" -}}
- name: RERANKD_MODEL
  value: {{ .Values.model.name | quote }}
{{- with .Values.model.revision }}
- name: RERANKD_REVISION
  value: {{ . | quote }}
{{- end }}
- name: RERANKD_ENGINES
  value: /engines
{{- if and .Values.gpu.enabled (not (hasKey .Values.settings "device")) }}
- name: RERANKD_DEVICE
  value: cuda
{{- end }}
{{- include "rerankd.env.threads" . }}
{{- range $name, $value := .Values.settings }}
- name: RERANKD_{{ upper $name }}
  value: {{ include "rerankd.text" $value | quote }}
{{- end }}
{{- end }}

{{- define "rerankd.env.threads" -}}
{{- $limits := .Values.resources.limits | default dict }}
{{- $requests := .Values.resources.requests | default dict }}
{{- $resource := ternary "limits" (ternary "requests" "" (hasKey $requests "cpu")) (hasKey $limits "cpu") }}
{{- if and $resource (not (hasKey .Values.settings "threads")) }}
{{- $cpu := include "rerankd.text" (get (get .Values.resources $resource) "cpu") }}
{{- $thousandths := hasSuffix "m" $cpu | ternary (trimSuffix "m" $cpu | float64) (mulf (float64 $cpu) 1000) }}
{{- if and (gt $thousandths 1000.0) (ne (mod (int64 $thousandths) 1000) 0) }}
{{- fail (printf "resources.%s.cpu is %s: the threads of the engine follow it, so use whole processors, or set settings.threads" $resource $cpu) }}
{{- end }}
- name: RERANKD_THREADS
  valueFrom:
    resourceFieldRef: { resource: {{ $resource }}.cpu, divisor: "1" }
{{- end }}
{{- end }}

{{- define "rerankd.env.keys" -}}
{{- if .Values.keys.existingSecret }}
{{- range $setting, $key := .Values.keys.fromSecret }}
{{- if eq $setting "api_keys" }}
- name: RERANKD_API_KEYS_FILE
  value: /run/secrets/rerankd/api-keys
{{- else }}
- name: RERANKD_{{ upper $setting }}
  valueFrom:
    secretKeyRef: { name: {{ $.Values.keys.existingSecret }}, key: {{ $key }} }
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "rerankd.env.service" -}}
{{ include "rerankd.env.model" . }}
- name: RERANKD_OFFLINE
  value: "true"
- name: RERANKD_LAME_DUCK_SECONDS
  value: {{ include "rerankd.text" .Values.shutdown.lameDuckSeconds | quote }}
- name: RERANKD_DRAIN_SECONDS
  value: {{ include "rerankd.text" .Values.shutdown.drainSeconds | quote }}
{{- include "rerankd.env.keys" . }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The process ends at most 10 seconds after the drain. */ -}}
{{- define "rerankd.gracePeriod" -}}
{{- $shutdown := .Values.shutdown }}
{{- $needed := addf $shutdown.preStopSleepSeconds $shutdown.lameDuckSeconds $shutdown.drainSeconds 10 | ceil | int }}
{{- $grace := int $shutdown.gracePeriodSeconds }}
{{- if and $grace (le $grace $needed) }}
{{- fail (printf "shutdown.gracePeriodSeconds is %d: it has to be longer than preStopSleepSeconds, lameDuckSeconds, drainSeconds and 10 together, %d" $grace $needed) }}
{{- end }}
{{- $grace | default (add $needed 5) }}
{{- end }}
