#!/usr/bin/env bash
# kind.sh up|down: a cluster on this machine with KEDA and Knative, for who has none. Needs docker, kind and kubectl.
# It takes port 80 of this machine, so that the API is where Knative says it is: http://essaim.essaim.127.0.0.1.sslip.io.
set -euo pipefail
name=essaim
node=kindest/node:v1.34.0@sha256:7416a61b42b1662ca6ca89f02028ac133a309a2a30ba309614e8ec94d976dc5a
keda=https://github.com/kedacore/keda/releases/download/v2.21.0/keda-2.21.0.yaml
serving=https://github.com/knative/serving/releases/download/knative-v1.23.0
kourier=https://github.com/knative-extensions/net-kourier/releases/download/knative-v1.23.0/kourier.yaml

up() {
  kind get clusters | grep -qx "$name" || kind create cluster --name "$name" --image "$node" --config - <<'YAML'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      - {containerPort: 31080, hostPort: 80, listenAddress: 127.0.0.1}
YAML
  kubectl apply --server-side -f "$keda"
  kubectl apply -f "$serving/serving-crds.yaml"
  kubectl wait --for=condition=Established --all crd --timeout=60s
  kubectl apply -f "$serving/serving-core.yaml" -f "$kourier"
  kubectl -n knative-serving patch configmap config-network --type merge -p '{"data":{"ingress-class":"kourier.ingress.networking.knative.dev"}}'
  kubectl -n knative-serving patch configmap config-domain --type merge -p '{"data":{"127.0.0.1.sslip.io":""}}'
  kubectl -n kourier-system patch service kourier --type merge \
    -p '{"spec":{"type":"NodePort","ports":[{"name":"http2","port":80,"targetPort":8080,"nodePort":31080}]}}'
  for namespace in keda knative-serving kourier-system; do
    kubectl -n "$namespace" wait deployment --all --for=condition=Available --timeout=300s
  done
  cat <<TEXT
Now: make image TAG=dev.local/essaim:dev
     kind load docker-image dev.local/essaim:dev --name $name
     kubectl apply -k platform/overlays/local
TEXT
}

down() { kind delete cluster --name "$name"; }

case ${1-} in
  up) up ;;
  down) down ;;
  *) sed -n 2,3p "$0"; exit 2 ;;
esac
