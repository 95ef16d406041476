#!/usr/bin/env bash
# Makes a read-only user for svclink in a remote cluster and prints its kubeconfig. See --help.
set -euo pipefail

readonly ACCOUNT=svclink NAMESPACE=kube-system ROLE=svclink-reader SECRET=svclink-token
readonly RBAC=rbac.authorization.k8s.io
readonly DURATION='^(([0-9]{1,6})h)?(([0-9]{1,6})m)?(([0-9]{1,6})s)?$'
readonly DNS_LABEL='^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'

usage() {
  cat <<'HELP'
Usage: hack/export-kubeconfig.sh [CONTEXT] [options]

Creates, in a remote cluster, a ServiceAccount that may read what svclink mirrors and nothing else, and prints a
kubeconfig with its token as one line of base64, the form that spec.kubeconfig of a ClusterLink has. Everything else it
says goes to stderr, so the output can be piped. Running it again changes nothing and prints the kubeconfig again.

  CONTEXT             context of your kubeconfig that leads to the remote cluster (default: the current one)
  --link NAME         print a whole ClusterLink of this name instead: pipe it to `kubectl apply -f -`
  --duration TIME     a token that expires after TIME (such as 720h); without it, one that lasts until it is revoked
  --namespaces A,B    permissions in these namespaces only, by Roles instead of a ClusterRole
  --server URL        address of the API server as seen from the main cluster (default: that of your kubeconfig)
  -h, --help          this text

It creates ServiceAccount kube-system/svclink, ClusterRole and ClusterRoleBinding svclink-reader (with --namespaces a
Role and a RoleBinding of that name in each, and in kube-system), and Secret kube-system/svclink-token (not with
--duration). Delete the ServiceAccount to revoke every token.

Example: hack/export-kubeconfig.sh cluster-b --link cluster-b | kubectl --context main apply -f -
HELP
}

say() { printf '%s\n' "$*" >&2; }

die() {
  say "Error: $*"
  exit 1
}

context="" link="" duration="" namespaces="" server=""

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      --link=* | --duration=* | --namespaces=* | --server=*) set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
    esac
    case $1 in
      --link | --duration | --namespaces | --server)
        [ -n "${2:-}" ] || die "$1 needs a value; see --help"
        printf -v "${1#--}" '%s' "$2"
        shift 2
        ;;
      -*) die "there is no option $1; see --help" ;;
      *)
        [ -z "$context" ] || die "give one context, not both $context and $1"
        context=$1
        shift
        ;;
    esac
  done
  [ -z "$link" ] || [[ $link =~ $DNS_LABEL ]] ||
    die "--link $link is no name for a ClusterLink: use at most 63 lower-case letters, digits and inner '-'"
  [ -z "$duration" ] || check_duration
  local name
  for name in ${namespaces//,/ }; do
    [[ $name =~ $DNS_LABEL ]] || die "--namespaces: $name is not the name of a namespace"
    [ "$name" != kube-system ] || die "--namespaces: kube-system is never mirrored; leave it out"
  done
}

# Before anything is made: Kubernetes would refuse the token only when all the rest is there.
check_duration() {
  [[ $duration =~ $DURATION ]] || die "--duration $duration is not a duration: write it as 24h or 720h"
  local hours=${BASH_REMATCH[2]:-0} minutes=${BASH_REMATCH[4]:-0} seconds=${BASH_REMATCH[6]:-0}
  ((10#$hours * 3600 + 10#$minutes * 60 + 10#$seconds >= 600)) ||
    die "--duration $duration is less than the ten minutes that Kubernetes asks for"
}

remote() { kubectl ${context:+"--context=$context"} "$@"; }

# A Role or ClusterRole and its binding: kind, namespace (or nothing), rules as JSON.
grant() {
  local kind=$1 metadata="name: $ROLE${2:+, namespace: $2}"
  remote apply -f - >&2 <<MANIFEST
apiVersion: $RBAC/v1
kind: $kind
metadata: {$metadata}
rules: [$3]
---
apiVersion: $RBAC/v1
kind: ${kind}Binding
metadata: {$metadata}
roleRef: {apiGroup: $RBAC, kind: $kind, name: $ROLE}
subjects: [{kind: ServiceAccount, name: $ACCOUNT, namespace: $NAMESPACE}]
MANIFEST
}

make_account() {
  remote apply -f - >&2 <<MANIFEST
apiVersion: v1
kind: ServiceAccount
metadata: {name: $ACCOUNT, namespace: $NAMESPACE}
MANIFEST
  local mirrored identity
  mirrored='{apiGroups: [""], resources: [services], verbs: [list, watch]}'
  mirrored+=', {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}'
  # The uid of this namespace tells clusters apart.
  identity='{apiGroups: [""], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}'
  if [ -z "$namespaces" ]; then
    grant ClusterRole "" "$mirrored, $identity"
    return
  fi
  grant Role kube-system "$identity"
  local name
  for name in ${namespaces//,/ }; do
    grant Role "$name" "$mirrored"
  done
}

# The token of a Secret, which lasts: Kubernetes fills the Secret in a moment.
lasting_token() {
  remote apply -f - >&2 <<MANIFEST
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: $SECRET, namespace: $NAMESPACE, annotations: {kubernetes.io/service-account.name: $ACCOUNT}}
MANIFEST
  local template='{{with .data}}{{with .token}}{{. | base64decode}}{{end}}{{end}}' token _
  for _ in $(seq 150); do
    token=$(remote get secret "$SECRET" --namespace "$NAMESPACE" -o "go-template=$template")
    [ -z "$token" ] || break
    sleep 0.2
  done
  [ -n "$token" ] || die "Secret $NAMESPACE/$SECRET got no token within 30 s: try --duration"
  printf '%s' "$token"
}

token() {
  if [ -n "$duration" ]; then
    remote create token "$ACCOUNT" --namespace "$NAMESPACE" --duration "$duration"
  else
    lasting_token
  fi
}

# A field of the cluster entry of the kubeconfig in use.
entry() { remote config view --minify --flatten --raw -o "jsonpath={.clusters[0].cluster.$1}"; }

authority() {
  local data
  data=$(entry certificate-authority-data)
  if [ -z "$data" ]; then
    say "Your kubeconfig names no CA: taking the cluster's own, from ConfigMap kube-system/kube-root-ca.crt."
    data=$(remote get configmap kube-root-ca.crt --namespace kube-system -o 'go-template={{index .data "ca.crt"}}' |
      base64 | tr -d '\n')
  fi
  printf '%s' "$data"
}

kubeconfig() {
  local name=${link:-remote} address=$1 authority=$2 token=$3 tls_name=$4
  cat <<CONFIG
apiVersion: v1
kind: Config
clusters:
  - name: $name
    cluster:
      server: $address
      certificate-authority-data: $authority${tls_name:+
      tls-server-name: $tls_name}
users:
  - name: svclink
    user:
      token: $token
contexts:
  - name: $name
    context: {cluster: $name, user: svclink}
current-context: $name
CONFIG
}

manifest() {
  cat <<MANIFEST
apiVersion: svclink.cloudpilot.ai/v1alpha1
kind: ClusterLink
metadata:
  name: $link
spec:
  enabled: true
  kubeconfig: $1${namespaces:+
  includedNamespaces: [$namespaces]}
MANIFEST
}

main() {
  parse "$@"
  command -v kubectl >/dev/null || die "kubectl is not on the PATH: install it"
  local address data secret tls_name encoded
  address=${server:-$(entry server)}
  case $address in
    https://127.* | https://localhost* | https://\[::1\]*)
      say "Warning: $address is every machine's own address: give --server with another."
      ;;
    https://*) ;;
    *) die "the server is '$address', and svclink talks https only: give --server https://..." ;;
  esac
  make_account
  secret=$(token)
  data=$(authority)
  tls_name=$(entry tls-server-name)
  encoded=$(kubeconfig "$address" "$data" "$secret" "$tls_name" | base64 | tr -d '\n')
  if [ -n "$link" ]; then
    manifest "$encoded"
    say "This ClusterLink is for the main cluster: kubectl apply -f - there."
  else
    printf '%s\n' "$encoded"
    say "Put the line above into spec.kubeconfig of a ClusterLink of the main cluster. It holds a token: keep it secret."
  fi
}

main "$@"
