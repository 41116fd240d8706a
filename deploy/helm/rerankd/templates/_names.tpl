{{- define "rerankd.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Short enough for the longest suffix, -prepare- and the name of a processor. */ -}}
{{- define "rerankd.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name }}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) }}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "rerankd.selector" -}}
app.kubernetes.io/name: {{ include "rerankd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "rerankd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "rerankd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Of pods: without the version of the chart, which is no reason to replace them. */ -}}
{{- define "rerankd.podLabels" -}}
{{ include "rerankd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "rerankd.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "rerankd.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- /* Called with a dict: context and variant. */ -}}
{{- define "rerankd.image" -}}
{{- $image := .context.Values.image }}
{{- if and $image.digest (eq .variant (include "rerankd.variant" .context)) }}
{{- printf "%s@%s" $image.repository $image.digest }}
{{- else }}
{{- $tag := $image.tag | default (printf "v%s" .context.Chart.AppVersion) }}
{{- printf "%s:%s%s" $image.repository $tag (ternary (printf "-%s" .variant) "" (ne .variant "")) }}
{{- end }}
{{- end }}

{{- define "rerankd.variant" -}}
{{- .Values.image.variant | default (ternary "gpu" "" .Values.gpu.enabled) }}
{{- end }}

