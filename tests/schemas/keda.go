// Reads trigger metadata as JSON, one object a line, and prints what KEDA's own parser makes of each.
// keda.py builds it inside KEDA's module, beside KEDA's rabbitMQMetadata.
package main

import (
	"encoding/json"
	"os"

	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
)

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for in.More() {
		metadata := map[string]string{}
		if err := in.Decode(&metadata); err != nil {
			panic(err)
		}
		read := &rabbitMQMetadata{}
		config := &scalersconfig.ScalerConfig{TriggerType: "rabbitmq", TriggerMetadata: metadata}
		verdict := map[string]any{}
		if err := config.TypedConfig(read); err != nil {
			verdict["error"] = err.Error()
		} else {
			verdict["protocol"] = read.Protocol
			verdict["excludes"] = read.ExcludeUnacknowledged
			verdict["mode"] = read.Mode
			verdict["value"] = read.Value
			verdict["activation"] = read.ActivationValue
		}
		if err := out.Encode(verdict); err != nil {
			panic(err)
		}
	}
}
