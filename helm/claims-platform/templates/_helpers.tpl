{{/* A map as the words name=value. */}}
{{- define "claims.pairs" -}}
{{- $pairs := list }}
{{- range $name, $value := . }}{{ $pairs = append $pairs (printf "%s=%s" $name $value) }}{{ end }}
{{- join " " $pairs }}
{{- end }}

{{/* Labels that select the pods of a component. Call with (dict "root" $ "component" "feedback"). */}}
{{- define "claims.selectorLabels" -}}
app.kubernetes.io/name: claims-platform
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of every object. The chart's version stays off the pods, or each release would restart them all. */}}
{{- define "claims.labels" -}}
{{ include "claims.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{/* Name of a component's image. Call with (dict "root" $ "component" "operator"). */}}
{{- define "claims.image" -}}
{{- $image := (index .root.Values .component).image }}
{{- $tag := $image.tag | default .root.Chart.AppVersion }}
{{- if eq $tag "latest" }}
{{- fail (printf "%s.image.tag: latest means another image tomorrow; write a version or a digest (sha256:...)" .component) }}
{{- end }}
{{- with .root.Values.global.imageRegistry }}{{ . }}/{{ end -}}
{{ $image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" $tag) }}{{ $tag }}
{{- end }}

{{/* What Pod Security "restricted" asks of a pod, with the user of the platform's images. */}}
{{- define "claims.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What it asks of a container. */}}
{{- define "claims.securityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end }}

{{/* The same for containers whose pod is KServe's. */}}
{{- define "claims.ownSecurityContext" -}}
{{ include "claims.securityContext" . }}
runAsUser: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Where the platform's own pods may run. */}}
{{- define "claims.scheduling" -}}
{{- with .Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with .Values.global.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* URL of the feedback service for models in any namespace. */}}
{{- define "claims.feedbackUrl" -}}
http://claims-feedback.{{ .Release.Namespace }}:8080
{{- end }}

{{/* URL of MLflow, the chart's or the user's. */}}
{{- define "claims.mlflowUrl" -}}
{{- if .Values.mlflow.enabled }}
{{- if .Values.mlflow.url }}
{{- fail "mlflow.url is for a server of your own: set mlflow.enabled: false with it, or leave it empty" }}
{{- end -}}
http://mlflow.{{ .Release.Namespace }}:5000
{{- else -}}
{{ .Values.mlflow.url | required "mlflow.enabled is false: set mlflow.url to your MLflow server, for example http://mlflow.example.com:5000" }}
{{- end }}
{{- end }}

{{/* Name of the Secret with the tokens for outcomes. */}}
{{- define "claims.feedbackSecret" -}}
{{ .Values.feedback.token.existingSecret | default "claims-feedback-token" }}
{{- end }}

{{/* Thresholds as the feedback service reads them: namespace/model=0.6, separated by blanks. */}}
{{- define "claims.decisionThresholds" -}}
{{- $items := list }}
{{- range $model, $threshold := .Values.feedback.logger.decisionThresholds }}
{{- $items = append $items (printf "%s=%v" $model $threshold) }}
{{- end }}
{{- join " " $items }}
{{- end }}

{{/* Bytes of a size in Mi, Gi or Ti. */}}
{{- define "claims.bytes" -}}
{{- $units := dict "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- mul (regexFind "^[0-9]+" .) (index $units (regexFind "[MGT]i$" .)) }}
{{- end }}

{{/* A component's PersistentVolumeClaim. Call with (dict "root" $ "component" "mlflow" "name" "mlflow"). */}}
{{- define "claims.volumeClaim" -}}
{{- $persistence := (index .root.Values .component).persistence -}}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "claims.labels" . | nindent 4 }}
  {{- if $persistence.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with $persistence.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ $persistence.size }}
{{- end }}

{{/* A component's Service with one HTTP port. Call with root, component, name and port. */}}
{{- define "claims.service" -}}
{{- $service := (index .root.Values .component).service -}}
{{- include "claims.checkNodePort" (dict "service" $service "where" .component) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "claims.labels" . | nindent 4 }}
spec:
  type: {{ $service.type }}
  {{- if gt (int (index .root.Values .component).replicas) 1 }}
  # The halves of what KServe's logger sends meet in one pod.
  sessionAffinity: ClientIP
  {{- end }}
  selector:
    {{- include "claims.selectorLabels" . | nindent 4 }}
  ports:
    - name: http
      port: {{ .port }}
      targetPort: http
      {{- with $service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end }}

{{/* A node port that would have no effect is refused. */}}
{{- define "claims.checkNodePort" -}}
{{- if and .service.nodePort (eq .service.type "ClusterIP") }}
{{- fail (printf "%s.service.nodePort is %v but the type is ClusterIP: set %s.service.type: NodePort, or leave nodePort 0" .where (int .service.nodePort) .where) }}
{{- end }}
{{- end }}
